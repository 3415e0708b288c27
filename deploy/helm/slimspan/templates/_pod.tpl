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
{{- if .Values.artifactServer.enabled }}
  - name: files
    containerPort: {{ .Values.artifactServer.filesPort }}
    protocol: TCP
  - name: pages
    containerPort: {{ .Values.artifactServer.pagesPort }}
    protocol: TCP
{{- end }}
  - name: health
    containerPort: {{ .Values.healthPort }}
    protocol: TCP
  - name: metrics
    containerPort: {{ .Values.metricsPort }}
    protocol: TCP
{{- include "slimspan.environment" . }}
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

{{- define "slimspan.environment" }}
{{- with .Values.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- with .Values.extraEnv }}
env:
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

{{/* What all pods have, also those of jobs: as whom they run, and where. */}}
{{- define "slimspan.podBasis" -}}
serviceAccountName: {{ include "slimspan.serviceAccount" . }}
# slimspan asks nothing of Kubernetes. Identities of clouds bring tokens of their own.
automountServiceAccountToken: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
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
  {{- include "slimspan.podBasis" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - {{- include "slimspan.container" . | nindent 6 }}
  volumes:
    {{- include "slimspan.volumes" . | nindent 4 }}
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
