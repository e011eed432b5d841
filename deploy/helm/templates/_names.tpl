{{- define "monitor.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The name is the job of every series and rule: it is not for choice. */ -}}
{{- define "monitor.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "monitor.labels" -}}
{{ include "monitor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "monitor.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "monitor.replicas" -}}
{{- $sqlite := eq .Values.database.type "sqlite" -}}
{{- $replicas := .Values.replicas | default (ternary 1 2 $sqlite) | int -}}
{{- if and $sqlite (or (gt $replicas 1) .Values.autoscaling.enabled) -}}
{{- fail "SQLite has one writer: set replicas to 1 and autoscaling.enabled to false, or database.type to postgresql" -}}
{{- end -}}
{{ $replicas }}
{{- end -}}

{{- /* A duration of the configuration (30s, 15m, 2h, 7d, or seconds) in whole seconds. */ -}}
{{- define "monitor.seconds" -}}
{{- $written := toString . -}}
{{- $unit := regexFind "[smhd]$" $written -}}
{{- mulf (float64 (trimSuffix $unit $written)) (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) ($unit | default "s")) | ceil | int -}}
{{- end -}}

{{- define "monitor.port" -}}
{{- ((.Values.config.http | default dict).port | default 9464) | int -}}
{{- end -}}

{{- /* Whether it serves under a certificate; empty for no. */ -}}
{{- define "monitor.tls" -}}
{{- (.Values.config.http | default dict).tls_cert_file | default "" -}}
{{- end -}}

{{- define "monitor.secrets" -}}
/run/secrets/junction-monitor
{{- end -}}

{{- /* The settings: those of config, and where the secrets and the database are. */ -}}
{{- define "monitor.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $secrets := include "monitor.secrets" . -}}
{{- $_ := set $config "targets" ($config.targets | default (dict "default" (dict "discover" true))) -}}
{{- range $name, $given := $config.targets -}}
{{- $_ := set $config.targets $name (mergeOverwrite (dict "api_key_file" (printf "%s/api-key.%s" $secrets $name)) ($given | default dict)) -}}
{{- end -}}
{{- $alerts := $config.alerts | default dict -}}
{{- $privacy := $config.privacy | default dict -}}
{{- $hashing := or (eq "hash" ($privacy.external_user_id | default "")) (eq "hash" ($privacy.log_user_id | default "")) -}}
{{- range $name, $sink := $alerts.sinks | default dict -}}
{{- $hashing = or $hashing (eq "hash" ($sink.user_id | default "")) -}}
{{- if and (eq $sink.type "webhook") (not $sink.secret_file) -}}
{{- $_ := set $sink "secret_file" (printf "%s/sink.%s" $secrets $name) -}}
{{- end -}}
{{- end -}}
{{- if and $hashing (not $privacy.hash_key_file) -}}
{{- $_ := set $privacy "hash_key_file" (printf "%s/hash-key" $secrets) -}}
{{- end -}}
{{- if and .Values.runbookBaseUrl (not $alerts.runbook_base_url) -}}
{{- $_ := set $alerts "runbook_base_url" .Values.runbookBaseUrl -}}
{{- end -}}
{{- $database := dict "url" "sqlite:////data/monitor.db" -}}
{{- if ne .Values.database.type "sqlite" -}}
{{- $database = dict "url_file" (printf "%s/database-url" $secrets) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config (dict "alerts" $alerts "privacy" $privacy "database" $database)) -}}
{{- end -}}

{{- /* Ports that the monitor has to reach, as far as the values tell: Junction's, its proxies', the database's, the sinks'. */ -}}
{{- define "monitor.egressPorts" -}}
{{- $ports := concat (list 443) .Values.networkPolicy.egressPorts -}}
{{- if ne .Values.database.type "sqlite" -}}{{- $ports = concat $ports .Values.database.ports -}}{{- end -}}
{{- $addresses := list -}}
{{- range .Values.config.targets -}}
{{- $target := . | default dict -}}
{{- $addresses = concat $addresses (list ($target.base_url | default "") ($target.proxy | default "")) -}}
{{- end -}}
{{- range ((.Values.config.alerts | default dict).sinks | default dict) -}}
{{- $addresses = concat $addresses (.urls | default list) (list (.url | default "")) -}}
{{- end -}}
{{- range compact $addresses -}}
{{- $port := regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (ternary "80" "443" (hasPrefix "http://" .)) | int) -}}
{{- end -}}
{{- $whole := list -}}
{{- range $ports -}}{{- $whole = append $whole (int .) -}}{{- end -}}
{{- toJson ($whole | uniq) -}}
{{- end -}}

{{- /* One rules file, its links to runbooks made those of this installation. */ -}}
{{- define "monitor.rules" -}}
{{- $text := .root.Files.Get (printf "files/%s.rules.yaml" .name) -}}
{{- $base := .root.Values.runbookBaseUrl -}}
{{- if $base -}}{{- $text = $text | replace "https://runbooks.example.com/junction-monitor" (trimSuffix "/" $base) -}}{{- end -}}
{{- (fromYaml $text).groups | toYaml -}}
{{- end -}}

{{- define "monitor.wanted" -}}
{{- if eq (toString .enabled) "auto" -}}
{{- if .root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}yes{{- end -}}
{{- else if .enabled -}}yes{{- end -}}
{{- end -}}
