"""Write every generated file of ``deploy/``; plain manifests take ``helm`` on the PATH."""

from deploy.generate import files

if __name__ == "__main__":
    for path, text in files.generated():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
