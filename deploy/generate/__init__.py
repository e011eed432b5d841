"""What of ``deploy/`` is made by programs: ``make generate`` writes it, and tests compare it with what is committed."""
