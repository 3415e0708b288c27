{{/* The container, which a sidecar is, too. */}}
{{- define "slimspan.container" -}}
name: slimspan
image: {{ include "slimspan.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [--config, /etc/slimspan/collector.yaml]
ports:
{{- range $name, $port := .Values.ports }}
  - name: {{ $name }}
    containerPort: {{ $port }}
    protocol: TCP
{{- end }}
  - name: health
    containerPort: {{ .Values.healthPort }}
    protocol: TCP
  - name: metrics
    containerPort: {{ .Values.metricsPort }}
    protocol: TCP
{{- with .Values.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "slimspan.probes" . }}
{{- if .Values.preStopSleepSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.preStopSleepSeconds }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- if eq .Values.mode "sidecar" }}
  {{- /* The pod is another's, so the container says what ours say for the whole pod. */}}
  {{- $whole := pick .Values.podSecurityContext "runAsNonRoot" "runAsUser" "runAsGroup" "seccompProfile" }}
  {{- toYaml (mergeOverwrite (deepCopy $whole) .Values.securityContext) | nindent 2 }}
  {{- else }}
  {{- toYaml .Values.securityContext | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: slimspan-config
    mountPath: /etc/slimspan
    readOnly: true
  - name: slimspan-data
    mountPath: /var/lib/slimspan
{{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "slimspan.probes" }}
startupProbe:
  httpGet:
    path: /
    port: health
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /live
    port: health
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: {{ .Values.readinessPath }}
    port: health
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- define "slimspan.volumes" -}}
- name: slimspan-config
  configMap:
    name: {{ include "slimspan.fullname" . }}
{{- if not .Values.persistence.enabled }}
- name: slimspan-data
  emptyDir: {}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the pods of all kinds of workloads are made of. */}}
{{- define "slimspan.podTemplate" -}}
metadata:
  labels:
    {{- include "slimspan.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed configuration starts new pods.
    checksum/config: {{ include "slimspan.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "slimspan.serviceAccount" . }}
  # slimspan asks nothing of Kubernetes. Identities of clouds bring tokens of their own.
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - {{- include "slimspan.container" . | nindent 6 }}
  volumes:
    {{- include "slimspan.volumes" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if eq .Values.mode "gateway" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "slimspan.selector" . | nindent 10 }}
  {{- end }}
{{- end }}
