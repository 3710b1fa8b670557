{{- define "graft.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "graft.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "graft.labels" -}}
{{ include "graft.selector" . }}
app.kubernetes.io/component: coordinator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "graft.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "graft.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The host of HOST:PORT, without the brackets of an IPv6 address. */}}
{{- define "graft.host" -}}
{{- regexReplaceAll ":[0-9]+$" . "" | trimPrefix "[" | trimSuffix "]" -}}
{{- end -}}

{{/* Names in the certificate of the agents' ports, the one that agents are told first. */}}
{{- define "graft.hosts" -}}
{{- $public := list (include "graft.host" .Values.public.grpc) (include "graft.host" .Values.public.enrol) -}}
{{- concat $public .Values.hosts (list "localhost") | uniq | join "," -}}
{{- end -}}

{{/* What several replicas must share. */}}
{{- define "graft.check" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- if not .Values.database.existingSecret -}}
{{- fail "replicas > 1 needs database.existingSecret: replicas share one PostgreSQL database" -}}
{{- end -}}
{{- if not .Values.blobs.url -}}
{{- fail "replicas > 1 needs blobs.url: replicas share one bucket" -}}
{{- end -}}
{{- if not .Values.keys.existingSecret -}}
{{- fail "replicas > 1 needs keys.existingSecret: replicas share one CA, identity and master key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
