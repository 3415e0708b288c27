{{/* The extension artifact_server: what the values say of it, and where it listens. */}}
{{- define "slimspan.artifactServer" -}}
{{- if eq .Values.mode "sidecar" }}
{{- fail "artifactServer.enabled: the pods of a sidecar are not this release's (mode: gateway or daemonset)" }}
{{- end }}
{{- $pages := dict "endpoint" (printf "0.0.0.0:%d" (int .Values.artifactServer.pagesPort)) }}
{{- $server := dict "endpoint" (printf "0.0.0.0:%d" (int .Values.artifactServer.filesPort)) "pages" $pages }}
{{- $server = mergeOverwrite $server (deepCopy (default dict (get .Values.config.extensions "artifact_server"))) }}
{{- $place := "config.extensions.artifact_server" }}
{{- if not $server.public_url }}
{{- fail (printf "%s.public_url: say where files are opened, such as https://files.example.com" $place) }}
{{- end }}
{{- if not (get $server.pages "public_url") }}
{{- fail (printf "%s.pages.public_url: say where the pages are, another host than public_url, such as https://slimspan.example.com" $place) }}
{{- end }}
{{- if not (or $server.auth $server.open_to_everybody) }}
{{- fail (printf "%s.auth: say who may open files, such as { authenticator: bearertokenauth }, or open_to_everybody: true" $place) }}
{{- end }}
{{- if and $server.auth (not (get (default dict $server.links) "keys")) }}
{{- fail (printf "%s.links.keys: replicas open each other's links by a secret that all know, such as [{ id: first, secret: \"${env:SLIMSPAN_LINKS}\" }]" $place) }}
{{- end }}
{{- toYaml $server }}
{{- end }}
