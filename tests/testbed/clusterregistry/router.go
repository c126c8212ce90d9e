package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

//go:embed swagger.json
var swagger []byte

// A watch without a time of its own ends after 30 to 60 minutes.
const watchTime = 30 * time.Minute

type router struct {
	access access
	scope  *handlers.RequestScope
	verbs  map[string]http.HandlerFunc
	store  links
}

func newRouter(store links, scope *handlers.RequestScope, access access) http.Handler {
	// Server-side apply is of later days: 415.
	patches := []string{"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"}
	return &router{access, scope, map[string]http.HandlerFunc{
		"get":              handlers.GetResource(store, scope),
		"list":             handlers.ListResource(store, store, scope, false, watchTime),
		"watch":            handlers.ListResource(store, store, scope, true, watchTime),
		"create":           handlers.CreateResource(store, scope, nil),
		"update":           handlers.UpdateResource(store, scope, nil),
		"patch":            handlers.PatchResource(store, scope, nil, patches),
		"delete":           handlers.DeleteResource(store, true, scope, nil),
		"deletecollection": handlers.DeleteCollection(store, true, scope, nil),
	}, store}
}

func (r *router) fail(w http.ResponseWriter, req *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, r.scope.Serializer, groupVersion, w, req)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// Only the first choice of `Accept` is looked at, and `as=` in it is unknown but for one Table.
func isAcceptable(accept string) (table, ok bool) {
	first, _, _ := strings.Cut(accept, ",")
	parameters := map[string]string{}
	for _, part := range strings.Split(first, ";")[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parameters[key] = value
	}
	as, has := parameters["as"]
	if !has {
		return false, true
	}
	return true, as == "Table" && parameters["g"] == "meta.k8s.io" && parameters["v"] == "v1alpha1"
}

func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/healthz" {
		_, _ = w.Write([]byte("ok"))
		return
	}
	who, err := r.access.admit(req)
	if err != nil {
		req.Header.Del("Accept")
		r.fail(w, req, err)
		return
	}
	table, ok := isAcceptable(req.Header.Get("Accept"))
	if !ok {
		req.Header.Del("Accept")
		r.fail(w, req, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
			Message: "only the following media types are accepted: application/json, application/yaml",
		}})
		return
	}
	// It did not know the word, and wrote.
	query := req.URL.Query()
	query.Del("dryRun")
	query.Del("fieldValidation")
	req.URL.RawQuery = query.Encode()
	if req.Method == http.MethodDelete {
		if err := forgetDryRun(req); err != nil {
			r.fail(w, req, apierrors.NewBadRequest(err.Error()))
			return
		}
	}

	path := strings.TrimSuffix(req.URL.Path, "/")
	switch path {
	case "/swagger.json":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(swagger)
		return
	case "/version":
		answer(w, map[string]string{"major": "0", "minor": "0", "gitVersion": "v0.0.3"})
		return
	case "/apis":
		answer(w, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{group()}})
		return
	case "/apis/" + groupVersion.Group:
		one := group()
		one.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		answer(w, one)
		return
	case "/apis/" + groupVersion.String():
		answer(w, metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: groupVersion.String(),
			APIResources: []metav1.APIResource{{Name: "clusters", SingularName: "", Namespaced: false, Kind: "Cluster",
				Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}}},
		})
		return
	}
	forceWatch := false
	rest, ok := strings.CutPrefix(path, collectionPath)
	if !ok {
		watched := strings.Replace(collectionPath, "/clusters", "/watch/clusters", 1)
		if rest, ok = strings.CutPrefix(path, watched); ok {
			forceWatch = true
		}
	}
	name, hasName := strings.CutPrefix(rest, "/")
	if !ok || strings.Contains(name, "/") || (rest != "" && !hasName) {
		http.NotFound(w, req)
		return
	}
	verb := verbOf(req, name, forceWatch)
	handler, known := r.verbs[verb]
	if !known {
		r.fail(w, req, apierrors.NewMethodNotSupported(resource, req.Method))
		return
	}
	info := &request.RequestInfo{
		IsResourceRequest: true, Path: req.URL.Path, Verb: verb, APIPrefix: "apis", APIGroup: groupVersion.Group,
		APIVersion: groupVersion.Version, Resource: "clusters", Name: name,
	}
	ctx := audit.WithAuditContext(request.WithUser(request.WithRequestInfo(req.Context(), info), who))
	req = req.WithContext(ctx)
	if table {
		r.table(w, req, name)
		return
	}
	handler(w, req)
}

// The same of the options in a body; and of the preconditions it knew the uid alone.
func forgetDryRun(req *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return err
	}
	var options map[string]any
	if json.Unmarshal(body, &options) == nil {
		delete(options, "dryRun")
		if preconditions, ok := options["preconditions"].(map[string]any); ok {
			delete(preconditions, "resourceVersion")
		}
		if body, err = json.Marshal(options); err != nil {
			return err
		}
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.ContentLength = int64(len(body))
	return nil
}

func verbOf(req *http.Request, name string, forceWatch bool) string {
	switch {
	case req.Method == http.MethodGet && forceWatch:
		return "watch"
	case req.Method == http.MethodGet && name != "":
		return "get"
	case req.Method == http.MethodGet:
		return "list"
	case req.Method == http.MethodPost && name == "":
		return "create"
	case req.Method == http.MethodPut && name != "":
		return "update"
	case req.Method == http.MethodPatch && name != "":
		return "patch"
	case req.Method == http.MethodDelete && name != "":
		return "delete"
	case req.Method == http.MethodDelete:
		return "deletecollection"
	}
	return ""
}

func group() metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{GroupVersion: groupVersion.String(), Version: groupVersion.Version}
	return metav1.APIGroup{
		Name: groupVersion.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{},
	}
}

// The Table of meta.k8s.io/v1alpha1, which the library of today has no more: two columns.
func (r *router) table(w http.ResponseWriter, req *http.Request, name string) {
	list, err := r.store.List(req.Context(), nil)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	rows := []any{}
	for _, cluster := range list.(*ClusterList).Items {
		if name == "" || cluster.Name == name {
			rows = append(rows, map[string]any{"cells": []any{cluster.Name, cluster.CreationTimestamp.UTC().Format(time.RFC3339)}})
		}
	}
	if name != "" && len(rows) == 0 {
		r.fail(w, req, apierrors.NewNotFound(resource, name))
		return
	}
	column := func(name string) map[string]any { return map[string]any{"name": name, "type": "string"} }
	answer(w, map[string]any{
		"kind": "Table", "apiVersion": "meta.k8s.io/v1alpha1",
		"metadata":          map[string]any{"selfLink": fmt.Sprint(req.URL.Path)},
		"columnDefinitions": []any{column("Name"), column("Created At")}, "rows": rows,
	})
}
