// A stand-in for the API server of cluster-registry v0.0.3 (January 2018), which no longer builds: the same types, and what
// was observed on the original binary, on the current k8s.io/apiserver library with its storage in etcd. Each oddity says
// so where it is made; tests/oldregistry checks every one of them.
package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "clusterregistry.k8s.io", Version: "v1alpha1"}

// Cluster writes `status: null` when there is none.
type Cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ClusterSpec    `json:"spec,omitempty"`
	Status            *ClusterStatus `json:"status"`
}

// ClusterStatus can store nothing: conditions that are sent read back as `{}`.
type ClusterStatus struct{}

type ClusterSpec struct {
	KubernetesAPIEndpoints KubernetesAPIEndpoints `json:"kubernetesApiEndpoints"`
	AuthInfo               AuthInfo               `json:"authInfo"`
	CloudProvider          *CloudProvider         `json:"cloudProvider"`
}

type KubernetesAPIEndpoints struct {
	ServerEndpoints []ServerAddressByClientCIDR `json:"serverEndpoints,omitempty"`
	CABundle        []byte                      `json:"caBundle,omitempty"`
}

type ServerAddressByClientCIDR struct {
	ClientCIDR    string `json:"clientCIDR,omitempty"`
	ServerAddress string `json:"serverAddress,omitempty"`
}

// AuthInfo writes `providers: null` when there are none.
type AuthInfo struct {
	Providers []AuthProviderConfig `json:"providers"`
}

type AuthProviderConfig struct {
	Name   string            `json:"name,omitempty"`
	Type   AuthProviderType  `json:"type,omitempty"`
	Config map[string]string `json:"config,omitempty"`
}

type AuthProviderType struct {
	Name string `json:"name,omitempty"`
}

type CloudProvider struct {
	Name string `json:"name,omitempty"`
}

type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Cluster `json:"items"`
}

func (c *Cluster) DeepCopyObject() runtime.Object {
	out := new(Cluster)
	c.deepCopyInto(out)
	return out
}

func (c *Cluster) deepCopyInto(out *Cluster) {
	out.TypeMeta = c.TypeMeta
	c.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	endpoints := c.Spec.KubernetesAPIEndpoints
	out.Spec.KubernetesAPIEndpoints.ServerEndpoints = append([]ServerAddressByClientCIDR(nil), endpoints.ServerEndpoints...)
	out.Spec.KubernetesAPIEndpoints.CABundle = append([]byte(nil), endpoints.CABundle...)
	for _, provider := range c.Spec.AuthInfo.Providers {
		if provider.Config != nil {
			config := make(map[string]string, len(provider.Config))
			for key, value := range provider.Config {
				config[key] = value
			}
			provider.Config = config
		}
		out.Spec.AuthInfo.Providers = append(out.Spec.AuthInfo.Providers, provider)
	}
	if c.Spec.CloudProvider != nil {
		copied := *c.Spec.CloudProvider
		out.Spec.CloudProvider = &copied
	}
	if c.Status != nil {
		out.Status = &ClusterStatus{}
	}
}

func (l *ClusterList) DeepCopyObject() runtime.Object {
	out := &ClusterList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	if l.Items != nil {
		out.Items = make([]Cluster, len(l.Items))
		for i := range l.Items {
			l.Items[i].deepCopyInto(&out.Items[i])
		}
	}
	return out
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &Cluster{}, &ClusterList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	// The bare version too: Status and DeleteOptions are sent in it.
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	unversioned := schema.GroupVersion{Version: "v1"}
	scheme.AddUnversionedTypes(unversioned, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{},
		&metav1.APIGroup{}, &metav1.APIResourceList{})
	return scheme
}
