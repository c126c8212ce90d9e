package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
)

// access says who asks, and whether they may.
type access interface {
	admit(request *http.Request) (user.Info, error)
}

// open is the default of v0.0.3's `standalone`: anonymous is on, and everything is allowed.
type open struct{}

func (open) admit(*http.Request) (user.Info, error) {
	return &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
}

// tokenFile is `standalone` with known users; who is known may do everything.
type tokenFile map[string]string

func bearer(request *http.Request) (string, bool) {
	return strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
}

func (t tokenFile) admit(request *http.Request) (user.Info, error) {
	if token, ok := bearer(request); ok {
		if name, known := t[token]; known {
			return &user.DefaultInfo{Name: name}, nil
		}
	}
	return nil, apierrors.NewUnauthorized("Unauthorized")
}

// delegated is `aggregated`: the front proxy is believed, tokens and rights are asked for in v1beta1, which a hub of today
// does not serve. So a token ends in 401, a user in 500, and only system:masters passes.
type delegated struct {
	front  *x509.CertPool
	hub    string
	token  string
	client *http.Client
}

func newDelegated(frontCA, hub, hubCA, token string) (*delegated, error) {
	front, err := pool(frontCA)
	if err != nil {
		return nil, err
	}
	roots, err := pool(hubCA)
	if err != nil {
		return nil, err
	}
	return &delegated{
		front: front, hub: hub, token: token,
		client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		},
	}, nil
}

func (d *delegated) isFront(request *http.Request) bool {
	if request.TLS == nil || len(request.TLS.PeerCertificates) == 0 {
		return false
	}
	_, err := request.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: d.front, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

func (d *delegated) review(path string, body any) (map[string]any, error) {
	sent, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, d.hub+path, bytes.NewReader(sent))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+d.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		_, _ = io.Copy(io.Discard, answer.Body)
		return nil, fmt.Errorf("the server could not find the requested resource (%d)", answer.StatusCode)
	}
	var found map[string]any
	return found, json.NewDecoder(answer.Body).Decode(&found)
}

func (d *delegated) admit(request *http.Request) (user.Info, error) {
	if !d.isFront(request) {
		if token, ok := bearer(request); ok {
			_, err := d.review("/apis/authentication.k8s.io/v1beta1/tokenreviews", map[string]any{
				"apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview", "spec": map[string]any{"token": token},
			})
			if err == nil {
				return nil, apierrors.NewInternalError(fmt.Errorf("a hub that still serves v1beta1 is not what this is for"))
			}
		}
		return nil, apierrors.NewUnauthorized("Unauthorized")
	}
	who := &user.DefaultInfo{Name: request.Header.Get("X-Remote-User"), Groups: request.Header.Values("X-Remote-Group")}
	if slices.Contains(who.Groups, user.SystemPrivilegedGroup) {
		return who, nil
	}
	_, err := d.review("/apis/authorization.k8s.io/v1beta1/subjectaccessreviews", map[string]any{
		"apiVersion": "authorization.k8s.io/v1beta1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": who.Name, "groups": who.Groups},
	})
	return nil, apierrors.NewInternalError(fmt.Errorf("authorization failed: %v", err))
}
