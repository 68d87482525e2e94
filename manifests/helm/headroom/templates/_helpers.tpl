{{- define "headroom.name" -}}
{{- if contains "headroom" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-headroom" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "headroom.agent" -}}{{ include "headroom.name" . }}-agent{{- end }}
{{- define "headroom.aggregator" -}}{{ include "headroom.name" . }}-aggregator{{- end }}

{{/* What a selector may have: it can never be changed. */}}
{{- define "headroom.selector" -}}
app.kubernetes.io/name: headroom
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "headroom.labels" -}}
{{ include "headroom.selector" . }}
app.kubernetes.io/part-of: headroom
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "headroom.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "headroom.spools" -}}{{ if or .Values.spool.enabled .Values.push.enabled }}yes{{ end }}{{- end }}
{{- define "headroom.byToken" -}}{{ if eq .Values.push.identity "token" }}yes{{ end }}{{- end }}

{{- define "headroom.resources" -}}
{{- $resources := deepCopy .Values.agent.resources }}
{{- if include "headroom.spools" . }}{{ $resources = mergeOverwrite $resources (deepCopy .Values.spool.resources) }}{{ end }}
{{- if .Values.push.enabled }}{{ $resources = mergeOverwrite $resources (deepCopy .Values.push.resources) }}{{ end }}
{{- toYaml $resources }}
{{- end }}
