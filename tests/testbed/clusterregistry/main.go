package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"context"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
	"syscall"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints/handlers"
)

// The limit of that time: etcd's own.
const maxBody = 3 << 20

func main() {
	var (
		port     = flag.Int("port", 0, "the port on 127.0.0.1, shared with whoever reserved it")
		etcd     = flag.String("etcd", "", "the URL of etcd")
		prefix   = flag.String("prefix", "/registry", "where in etcd")
		cert     = flag.String("cert", "", "the server's certificate")
		key      = flag.String("key", "", "its key")
		tokens   = flag.String("tokens", "", "token file; without one, and without -front-ca, everybody may do everything")
		frontCA  = flag.String("front-ca", "", "the front proxy's CA: aggregated mode")
		hub      = flag.String("hub", "", "the hub's URL, asked for reviews in aggregated mode")
		hubCA    = flag.String("hub-ca", "", "the hub's CA")
		hubToken = flag.String("hub-token", "", "a token for the hub")
	)
	flag.Parse()
	scheme := newScheme()
	codecs := newNegotiated(scheme)
	store, err := newStore(scheme, codecs, *etcd, *prefix)
	if err != nil {
		log.Fatalf("open the storage: %v", err)
	}
	kind := groupVersion.WithKind("Cluster")
	manager, err := managedfields.NewDefaultFieldManager(managedfields.NewDeducedTypeConverter(), scheme, scheme, scheme,
		kind, groupVersion, "", nil)
	if err != nil {
		log.Fatalf("make the field manager: %v", err)
	}
	scope := &handlers.RequestScope{
		Namer:               handlers.ContextBasedNaming{Namer: runtime.Namer(meta.NewAccessor()), ClusterScoped: true},
		Serializer:          codecs,
		ParameterCodec:      runtime.NewParameterCodec(scheme),
		Creater:             scheme,
		Convertor:           scheme,
		Defaulter:           scheme,
		Typer:               scheme,
		UnsafeConvertor:     scheme,
		TableConvertor:      store,
		FieldManager:        manager,
		Resource:            groupVersion.WithResource("clusters"),
		Kind:                kind,
		MetaGroupVersion:    metav1.SchemeGroupVersion,
		HubGroupVersion:     groupVersion,
		MaxRequestBodyBytes: maxBody,
	}
	var access access = open{}
	switch {
	case *frontCA != "":
		access, err = newDelegated(*frontCA, *hub, *hubCA, *hubToken)
	case *tokens != "":
		access, err = readTokens(*tokens)
	}
	if err != nil {
		log.Fatalf("read who may do what: %v", err)
	}
	certificate, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatalf("read the certificate: %v", err)
	}
	server := &http.Server{
		Handler: newRouter(store, scope, access),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientAuth:   tls.RequestClientCert,
			MinVersion:   tls.VersionTLS12,
		},
		ReadHeaderTimeout: 30 * time.Second,
	}
	listener, err := listen(*port)
	if err != nil {
		log.Fatalf("listen: %v", err)
	}
	go compactWhenTold(*etcd)
	log.Printf("serving on %s", listener.Addr())
	log.Fatal(server.ServeTLS(listener, "", ""))
}

// Whoever started us holds the port, and lets us share it.
func listen(port int) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(descriptor uintptr) {
			failed = unix.SetsockoptInt(int(descriptor), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if err != nil {
			return err
		}
		return failed
	}}
	return config.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

func readTokens(file string) (tokenFile, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	reader := csv.NewReader(opened)
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	found := tokenFile{}
	for _, row := range rows {
		if len(row) < 2 {
			return nil, fmt.Errorf("a line with %d fields", len(row))
		}
		found[row[0]] = row[1]
	}
	return found, nil
}

func pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	found := x509.NewCertPool()
	if !found.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return found, nil
}

// SIGUSR1: etcd forgets everything but the present, so that older revisions are too old.
func compactWhenTold(etcd string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	for range told {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}, DialTimeout: 10 * time.Second})
		if err != nil {
			log.Fatalf("reach etcd: %v", err)
		}
		present, err := client.Get(context.Background(), "present")
		if err != nil {
			log.Fatalf("ask etcd: %v", err)
		}
		if _, err := client.Compact(context.Background(), present.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
			log.Printf("compact: %v", err)
		}
		log.Printf("compacted")
		_ = client.Close()
	}
}
