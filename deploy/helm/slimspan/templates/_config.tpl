{{/* The configuration: what the values say, with what artifactServer and persistence add to it. */}}
{{- define "slimspan.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $id, $exporter := $config.exporters }}
{{- $keys := list "endpoint" }}
{{- if or (hasPrefix "otlp_http" $id) (hasPrefix "otlphttp" $id) }}
{{- $keys = list "endpoint" "traces_endpoint" "metrics_endpoint" "logs_endpoint" }}
{{- end }}
{{- $said := dict }}
{{- range $key := $keys }}
{{- if dig $key "" (default dict $exporter) }}
{{- $_ := set $said $key true }}
{{- end }}
{{- end }}
{{- if and (hasPrefix "otlp" $id) (not $said) }}
{{- fail (printf "config.exporters.%s.endpoint: say where the backend is, as host:port" $id) }}
{{- end }}
{{- end }}
{{- range $id, $extension := $config.extensions }}
{{- if and (hasPrefix "artifact_store" $id) (not (dig "url" "" (default dict $extension))) }}
{{- fail (printf "config.extensions.%s.url: say where files go, such as s3://bucket/prefix" $id) }}
{{- end }}
{{- end }}
{{- if .Values.artifactServer.enabled }}
{{- $_ := set $config.extensions "artifact_server" (include "slimspan.artifactServer" . | fromYaml) }}
{{- $server := get $config.extensions "artifact_server" }}
{{- $deletion := default dict (get (default dict $server.deletion) "auth") }}
{{- $ids := list "artifact_server" (get (default dict $server.auth) "authenticator") (get $deletion "authenticator") }}
{{- $_ := set $config.service "extensions" (uniq (concat $config.service.extensions (compact $ids))) }}
{{- end }}
{{- if .Values.persistence.enabled }}
{{- if ne .Values.mode "gateway" }}
{{- fail "persistence.enabled: only a gateway has volumes of its own (mode: gateway)" }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- fail "persistence.enabled: not with autoscaling, because a replica that is taken away keeps what is on its volume" }}
{{- end }}
{{- if .Values.persistence.queue }}
{{- $storage := dict "directory" "/var/lib/slimspan/queue" }}
{{- $_ := set $config.extensions "file_storage" (mergeOverwrite $storage (default dict (get $config.extensions "file_storage"))) }}
{{- $_ := set $config.service "extensions" (uniq (append $config.service.extensions "file_storage")) }}
{{- range $id, $exporter := $config.exporters }}
{{- if hasPrefix "otlp" $id }}
{{- $_ := set $exporter "sending_queue" (mergeOverwrite (dict "storage" "file_storage") (default dict (get $exporter "sending_queue"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.persistence.spool }}
{{- range $id, $processor := $config.processors }}
{{- if hasPrefix "artifact" $id }}
{{- $_ := set $processor "delivery" "background" }}
{{- end }}
{{- end }}
{{- range $id, $extension := $config.extensions }}
{{- if hasPrefix "artifact_store" $id }}
{{- $spool := dict "directory" (printf "/var/lib/slimspan/spool/%s" (replace "/" "-" $id)) }}
{{- $_ := set $extension "spool" (mergeOverwrite $spool (default dict (get $extension "spool"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}
