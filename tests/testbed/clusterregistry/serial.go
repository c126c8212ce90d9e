package main

import (
	"io"

	jsoniter "github.com/json-iterator/go"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/yaml"
)

// The decoder of 2018: keys match in any case, unknown fields vanish, `fieldValidation` is not heard of, and an error quotes
// the text around it.
var decoder = jsoniter.ConfigCompatibleWithStandardLibrary

type oldSerializer struct {
	*json.Serializer
	scheme *runtime.Scheme
	isYAML bool
}

func (s *oldSerializer) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	if s.isYAML {
		converted, err := yaml.YAMLToJSON(data)
		if err != nil {
			return nil, nil, err
		}
		data = converted
	}
	var head struct {
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := decoder.Unmarshal(data, &head); err != nil {
		return nil, nil, err
	}
	actual := schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
	if defaults != nil {
		if actual.Kind == "" {
			actual.Kind = defaults.Kind
		}
		if head.APIVersion == "" {
			actual.Group, actual.Version = defaults.Group, defaults.Version
		}
	}
	if into != nil {
		kinds, _, err := s.scheme.ObjectKinds(into)
		if err == nil && len(kinds) > 0 && actual.Kind == "" {
			actual = kinds[0]
		}
		if err == nil && len(kinds) > 0 && actual.Kind != kinds[0].Kind && actual.Kind != "" {
			into = nil
		}
	}
	obj, err := runtime.UseOrCreateObject(s.scheme, s.scheme, actual, into)
	if err != nil {
		return nil, &actual, err
	}
	if err := decoder.Unmarshal(data, obj); err != nil {
		return nil, &actual, err
	}
	return obj, &actual, nil
}

func (s *oldSerializer) Encode(obj runtime.Object, w io.Writer) error {
	return s.Serializer.Encode(obj, w)
}

type negotiated struct {
	serializer.CodecFactory
	infos []runtime.SerializerInfo
}

func newNegotiated(scheme *runtime.Scheme) negotiated {
	info := func(mediaType, subType, suffix string, isYAML bool) runtime.SerializerInfo {
		options := json.SerializerOptions{Yaml: isYAML}
		one := &oldSerializer{json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options), scheme, isYAML}
		out := runtime.SerializerInfo{
			MediaType:        mediaType + "/" + subType,
			MediaTypeType:    mediaType,
			MediaTypeSubType: subType,
			EncodesAsText:    true,
			Serializer:       one,
			StrictSerializer: one,
			PrettySerializer: one,
		}
		if !isYAML {
			out.StreamSerializer = &runtime.StreamSerializerInfo{
				EncodesAsText: true, Serializer: one, Framer: json.Framer,
			}
		}
		return out
	}
	return negotiated{
		CodecFactory: serializer.NewCodecFactory(scheme),
		infos: []runtime.SerializerInfo{
			info("application", "json", "", false),
			info("application", "yaml", "", true),
		},
	}
}

func (n negotiated) SupportedMediaTypes() []runtime.SerializerInfo { return n.infos }
