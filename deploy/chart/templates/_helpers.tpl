{{- /* The name of the release's objects: that of the release, with the chart's unless it is in it. A Service takes no dots. */ -}}
{{- define "runner.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The labels by which the Deployment knows its pods; they can never be changed. */ -}}
{{- define "runner.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "runner.labels" -}}
{{ include "runner.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "runner.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "runner.name" .) -}}
{{- end -}}

{{- define "runner.jobNamespace" -}}
{{- .Values.jobNamespace | default .Release.Namespace -}}
{{- end -}}

{{- /* Whether there is a Secret to make. */ -}}
{{- define "runner.makesSecret" -}}
{{- if or .Values.secret.token .Values.secret.faktoryUrl }}true{{ end -}}
{{- end -}}

{{- /* The name of the Secret, empty when there is none. */ -}}
{{- define "runner.secret" -}}
{{- if include "runner.makesSecret" . -}}
{{- .Values.secret.name | default (include "runner.name" .) -}}
{{- else -}}
{{- .Values.secret.name -}}
{{- end -}}
{{- end -}}

{{- /* The name of the ConfigMap, empty for the file of the image. */ -}}
{{- define "runner.config" -}}
{{- if .Values.config.settings -}}
{{- include "runner.name" . -}}
{{- else -}}
{{- .Values.config.name -}}
{{- end -}}
{{- end -}}

{{- /* What can't be meant. */ -}}
{{- define "runner.check" -}}
{{- if and .Values.config.settings .Values.config.name -}}
{{- fail "config.settings and config.name are both given, and the runner reads one configuration: leave out one of them" -}}
{{- end -}}
{{- if and .Values.scaling.enabled (lt (int .Values.replicas) (int .Values.scaling.minReplicas)) -}}
{{- fail "replicas is less than scaling.minReplicas: with scaling it is how many runners there may be at most" -}}
{{- end -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: set serviceAccount.name to the account that there is" -}}
{{- end -}}
{{- if not (or (include "runner.secret" .) (include "runner.config" .)) -}}
{{- fail "the runner.hcl of the image needs OPSLEVEL_API_TOKEN: set secret.name to the name of a Secret that has this key, or secret.token to the token" -}}
{{- end -}}
{{- end -}}
