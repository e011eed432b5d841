{{- /* What the monitor and its migration share. */ -}}
{{- define "monitor.container" -}}
image: {{ include "monitor.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: MONITOR_CONFIG, value: /etc/junction-monitor/config.yaml}
  - {name: MONITOR_HTTP__HOST, value: {{ (.Values.config.http | default dict).host | default "0.0.0.0" | quote }}}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/junction-monitor, readOnly: true}
  - {name: secrets, mountPath: {{ include "monitor.secrets" . }}, readOnly: true}
  {{- if eq .Values.database.type "sqlite" }}
  - {name: data, mountPath: /data}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
# The last lines of the log are what `kubectl describe pod` shows of a container that ended.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}
