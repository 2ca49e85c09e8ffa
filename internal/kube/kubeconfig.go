package kube

import (
	"bytes"
	"encoding/base64"
	"net"
	"strconv"
	"text/template"
)

// namedServer is a context of a kubeconfig and the host of its API server.
type namedServer struct{ Name, Host string }

// URL is the server's.
func (s namedServer) URL() string {
	return "https://" + net.JoinHostPort(s.Host, strconv.Itoa(apiPort))
}

// The values are base64, URLs, and names that the nodes' own rules keep plain: nothing in them needs quotes.
var kubeconfigText = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
{{- range .Servers}}
- name: {{.Name}}
  cluster:
    server: {{.URL}}
    certificate-authority-data: {{$.CA}}
{{- end}}
users:
- name: {{.User}}
  user:
    client-certificate-data: {{.Cert}}
    client-key-data: {{.Key}}
contexts:
{{- range .Servers}}
- name: {{.Name}}
  context:
    cluster: {{.Name}}
    user: {{$.User}}
{{- end}}
current-context: {{(index .Servers 0).Name}}
`))

// kubeconfig is the text of one with a context for each server; the first is current. There must be one.
func kubeconfig(ca []byte, p pair, user string, servers ...namedServer) []byte {
	var text bytes.Buffer
	encode := base64.StdEncoding.EncodeToString
	err := kubeconfigText.Execute(&text, struct {
		Servers             []namedServer
		CA, User, Cert, Key string
	}{servers, encode(ca), user, encode(p.cert), encode(p.key)})
	if err != nil {
		panic("kubeconfig: " + err.Error()) // only a template that does not fit its value fails into memory
	}
	return text.Bytes()
}
