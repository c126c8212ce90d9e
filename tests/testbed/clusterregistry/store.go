package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

const collectionPath = "/apis/clusterregistry.k8s.io/v1alpha1/clusters"

var resource = schema.GroupResource{Group: groupVersion.Group, Resource: "clusters"}

// The rules of v0.0.3: a name is a DNS-1035 label, and the spec is not looked at.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

func (strategy) NamespaceScoped() bool { return false }

// The library of 2018 knew no managed fields and counted no generations here.
func clean(obj runtime.Object) {
	cluster := obj.(*Cluster)
	cluster.ManagedFields = nil
	cluster.Generation = 0
	cluster.SelfLink = ""
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object)    { clean(obj) }
func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) { clean(obj) }

func isLabel(name string, prefix bool) []string {
	if prefix && len(name) > 0 && name[len(name)-1] == '-' {
		name = name[:len(name)-1] + "a"
	}
	return validation.IsDNS1035Label(name)
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return apivalidation.ValidateObjectMeta(&obj.(*Cluster).ObjectMeta, false, isLabel, field.NewPath("metadata"))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(&obj.(*Cluster).ObjectMeta, &old.(*Cluster).ObjectMeta, field.NewPath("metadata"))
}

func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (strategy) Canonicalize(runtime.Object)                   {}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// links is the storage with `metadata.selfLink` on everything that leaves it.
type links struct{ *registry.Store }

func linked(obj runtime.Object) runtime.Object {
	switch it := obj.(type) {
	case *Cluster:
		it.SelfLink = collectionPath + "/" + it.Name
	case *ClusterList:
		it.SelfLink = collectionPath
		for i := range it.Items {
			// Items of a list said neither kind nor version.
			it.Items[i].TypeMeta = metav1.TypeMeta{}
			it.Items[i].SelfLink = collectionPath + "/" + it.Items[i].Name
		}
	}
	return obj
}

func (s links) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	// There were neither bookmarks nor streamed lists.
	options.AllowWatchBookmarks = false
	options.SendInitialEvents = nil
	events, err := s.Store.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
		if event.Object != nil {
			event.Object = linked(event.Object)
		}
		return event, true
	}), nil
}

func newStore(scheme *runtime.Scheme, codecs negotiated, etcd, prefix string) (links, error) {
	json := codecs.infos[0].Serializer
	codec := runtime.NewCodec(codecs.EncoderForVersion(json, groupVersion), codecs.DecoderToVersion(json, groupVersion))
	config := storagebackend.NewDefaultConfig(prefix, codec)
	config.Transport.ServerList = []string{etcd}
	// Tests compact when they want to.
	config.CompactionInterval = 0
	config.EncodeVersioner = groupVersion
	rules := strategy{scheme, names.SimpleNameGenerator}
	store := &registry.Store{
		NewFunc:                   func() runtime.Object { return &Cluster{} },
		NewListFunc:               func() runtime.Object { return &ClusterList{} },
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: schema.GroupResource{Group: resource.Group, Resource: "cluster"},
		CreateStrategy:            rules,
		UpdateStrategy:            rules,
		DeleteStrategy:            rules,
		TableConvertor:            rest.NewDefaultTableConvertor(resource),
		EnableGarbageCollection:   true,
		Decorator:                 func(obj runtime.Object) { linked(obj) },
		PredicateFunc: func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attributes}
		},
	}
	options := &generic.StoreOptions{
		RESTOptions: generic.RESTOptions{
			StorageConfig:           config.ForResource(resource),
			Decorator:               generic.UndecoratedStorage,
			EnableGarbageCollection: true,
			DeleteCollectionWorkers: 1,
			ResourcePrefix:          "/clusterregistry.k8s.io/clusters",
		},
		AttrFunc: attributes,
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return links{}, err
	}
	return links{store}, nil
}

func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, fmt.Errorf("not a cluster: %w", err)
	}
	return accessor.GetLabels(), fields.Set{"metadata.name": accessor.GetName()}, nil
}
