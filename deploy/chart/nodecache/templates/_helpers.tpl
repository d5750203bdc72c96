{{/* kube-dns' Service address: as told, or as the cluster says. */}}
{{- define "nodecache.dnsServer" -}}
{{- if .Values.config.dnsServer }}{{ .Values.config.dnsServer }}
{{- else }}
{{- $service := lookup "v1" "Service" "kube-system" "kube-dns" }}
{{- if not $service }}{{ fail "config.dnsServer: the address of the Service kube-dns has to be told where no cluster can be asked, or the Service has another name" }}{{ end }}
{{- $service.spec.clusterIP }}
{{- end }}
{{- end }}

{{/* A file of deploy/, its placeholders filled in as README.md's sed line does: dict "root" "file". */}}
{{- define "nodecache.file" -}}
{{- $config := .root.Values.config }}
{{- $text := .root.Files.Get (printf "files/%s" .file) }}
{{- $text = $text | replace "__PILLAR__LOCAL__DNS6__" $config.localDns6 | replace "__PILLAR__DNS__SERVER6__" $config.dnsServer6 }}
{{- $text = $text | replace "__PILLAR__LOCAL__DNS__" $config.localDns | replace "__PILLAR__DNS__DOMAIN__" $config.dnsDomain }}
{{- if eq .root.Values.mode "ipvs" }}
{{- $text | replace "__PILLAR__CLUSTER__DNS__" (include "nodecache.dnsServer" .root) }}
{{- else }}
{{- $text | replace "__PILLAR__DNS__SERVER__" (include "nodecache.dnsServer" .root) }}
{{- end }}
{{- end }}

{{/* What the agent listens on, parted by `sep`: dict "root" "sep". */}}
{{- define "nodecache.addresses" -}}
{{- $config := .root.Values.config }}
{{- $all := list $config.localDns }}
{{- if eq .root.Values.mode "dual-stack" }}
{{- $all = list $config.localDns $config.localDns6 (include "nodecache.dnsServer" .root) (required "config.dnsServer6: the mode dual-stack needs kube-dns' IPv6 address" $config.dnsServer6) }}
{{- else if eq .root.Values.mode "iptables" }}
{{- $all = append $all (include "nodecache.dnsServer" .root) }}
{{- else if eq .root.Values.mode "cilium" }}
{{- $all = list (include "nodecache.dnsServer" .root) }}
{{- end }}
{{- join .sep $all }}
{{- end }}

{{/* The base Corefile. */}}
{{- define "nodecache.corefile" -}}
{{- $config := .Values.config }}
{{- if $config.customConfig }}{{ tpl $config.customConfig . }}
{{- else }}
{{- $clusterDns := ternary (include "nodecache.dnsServer" .) "__PILLAR__CLUSTER__DNS__" (eq .Values.mode "ipvs") }}
{{- range $zone := list $config.dnsDomain "in-addr.arpa" "ip6.arpa" "." }}
{{- $isOutside := eq $zone "." }}
{{ $zone }}:53 {
{{- if and $config.enableLogging (or $isOutside (eq $zone $config.dnsDomain)) }}
    log
{{- end }}
    errors
{{- if eq $zone $config.dnsDomain }}
    cache {
            success 9984 30
            denial 9984 5
{{- include "nodecache.prefetch" $ }}
    }
{{- else if $config.prefetch.enabled }}
    cache {{ $config.cacheTTL }} {
{{- include "nodecache.prefetch" $ }}
    }
{{- else }}
    cache {{ $config.cacheTTL }}
{{- end }}
{{- if $config.noIPv6Lookups }}
    nodecache {
            aaaa suppress
    }
{{- end }}
    reload
    loop
{{- with include "nodecache.bind" $ }}
    bind {{ . }}
{{- end }}
{{- if not $isOutside }}
    forward . {{ $clusterDns }} {
            {{ $config.commProtocol }}
    }
{{- else if $config.upstreamForwardConfig }}
    forward . {{ $config.upstreamServers }} {
{{- range $config.upstreamForwardConfig }}
            {{ . }}
{{- end }}
    }
{{- else }}
    forward . {{ $config.upstreamServers }}
{{- end }}
    prometheus :9253
{{- if eq $zone $config.dnsDomain }}
    health{{ include "nodecache.health" $ }}
{{- end }}
    }
{{- end }}
{{ with $config.extraServerBlocks }}{{ . | trimSuffix "\n" }}
{{ end }}
{{- end }}
{{- end }}

{{- define "nodecache.prefetch" -}}
{{- with .Values.config.prefetch }}{{ if .enabled }}
            prefetch {{ .amount }} {{ .duration }} {{ .percentage }}
{{- end }}{{ end }}
{{- end }}

{{- define "nodecache.bind" -}}
{{- if eq .Values.mode "ipvs" }}{{ .Values.config.localDns }} __PILLAR__DNS__SERVER__
{{- else if ne .Values.mode "cilium" }}{{ include "nodecache.addresses" (dict "root" . "sep" " ") }}
{{- end }}
{{- end }}

{{- define "nodecache.health" -}}
{{- if ne .Values.mode "cilium" }} {{ ternary (printf "[%s]" .Values.config.localDns) .Values.config.localDns (contains ":" .Values.config.localDns) }}:{{ .Values.config.healthPort }}
{{- else if ne (int .Values.config.healthPort) 8080 }} :{{ .Values.config.healthPort }}
{{- end }}
{{- end }}

{{/* "true" where annotations tell a Prometheus without its operator what to scrape, else nothing. */}}
{{- define "nodecache.isAnnotated" -}}
{{- if and .Values.prometheusScraping.enabled (not .Values.serviceMonitor.enabled) }}true{{ end }}
{{- end }}

{{/* Puts labels and annotations of the values on an object: dict "object" "labels" "annotations". */}}
{{- define "nodecache.decorate" -}}
{{- $meta := .object.metadata }}
{{- with .labels }}{{ $_ := set $meta "labels" (merge (dict) . ($meta.labels | default dict)) }}{{ end }}
{{- with .annotations }}{{ $_ := set $meta "annotations" (merge (dict) . ($meta.annotations | default dict)) }}{{ end }}
{{- end }}
