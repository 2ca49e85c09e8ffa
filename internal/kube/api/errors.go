package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
)

// rejections are the only answers that make a write a fail: the API server gives each before, or instead of, applying it. Reasons, not
// status codes: others share the codes. Where they are given, in the sources of Kubernetes 1.30 to 1.36 (k8s.io/apiserver unless said otherwise):
//
// The store (pkg/storage/etcd3/store.go) sends one transaction to etcd, guarded by the object's revision, and its client of etcd does not
// send a write twice (go.etcd.io/etcd/client/v3, retry.go, isSafeRetryMutableRPC). Only a transaction that was refused, and so wrote nothing,
// leads to another attempt or to one of the first three answers; one that ended in an error is answered with that error as InternalError or Timeout.
//
// Not on the list, although some sound definite: InternalError, Timeout, ServerTimeout, ServiceUnavailable and Unknown, which are
// given for requests that may yet be applied; and RequestEntityTooLarge, which no request here can meet.
var rejections = []struct {
	reason metav1.StatusReason
	where  string
}{
	{metav1.StatusReasonAlreadyExists, "store.Create: the guard that the key is absent was refused"},
	{metav1.StatusReasonConflict, "pkg/registry/generic/registry/store.go, Update: the object that was read has another version; Preconditions.Check; also after a refused guard"},
	{metav1.StatusReasonNotFound, "store.GuaranteedUpdate, Delete: the key is not there when read; admission plugin NamespaceLifecycle: no such namespace; or no such path"},
	{metav1.StatusReasonUnauthorized, "pkg/endpoints/filters/authentication.go: before the handler"},
	{metav1.StatusReasonForbidden, "pkg/endpoints/filters/authorization.go: before the handler; admission, before the store is called (quota, a namespace that is terminating)"},
	{metav1.StatusReasonTooManyRequests, "pkg/server/filters/priority-and-fairness.go, maxinflight.go, with_retry_after.go: before the handler"},
	{metav1.StatusReasonBadRequest, "pkg/endpoints/handlers: the body can't be decoded, before the store is called"},
	{metav1.StatusReasonInvalid, "pkg/registry/rest, BeforeCreate and BeforeUpdate: validation, before the transaction"},
	{metav1.StatusReasonMethodNotAllowed, "pkg/endpoints/handlers: before the store is called"},
	{metav1.StatusReasonNotAcceptable, "pkg/endpoints/handlers/negotiation: before the store is called"},
	{metav1.StatusReasonUnsupportedMediaType, "pkg/endpoints/handlers/negotiation: before the store is called"},
	{metav1.StatusReasonGone, "pkg/storage/etcd3/errors.go: of reads and watches only"},
	{metav1.StatusReasonExpired, "pkg/storage/etcd3/errors.go: of reads and watches only"},
}

// neverSentError is a request that was not put on the wire. It is a definite rejection.
type neverSentError struct{ err error }

func (e *neverSentError) Error() string   { return "never sent: " + e.err.Error() }
func (e *neverSentError) Unwrap() []error { return []error{harness.ErrNotApplied, e.err} }

// classify marks the errors of requests that were sent and certainly not applied.
func classify(err error) error {
	if rejected(err) {
		return fmt.Errorf("%w: %w", harness.ErrNotApplied, err)
	}
	return err
}

func rejected(err error) bool {
	reason := apierrors.ReasonForError(err)
	return reason != metav1.StatusReasonUnknown && slices.ContainsFunc(rejections, func(r struct {
		reason metav1.StatusReason
		where  string
	},
	) bool {
		return r.reason == reason
	})
}

// Definite tells an error after which a write was certainly not applied: it wraps harness.ErrNotApplied.
func Definite(err error) bool { return errors.Is(err, harness.ErrNotApplied) }

// NeverSent tells an error of a request that was not put on the wire.
func NeverSent(err error) bool {
	var never *neverSentError
	return errors.As(err, &never)
}

// ReadError is the error of a read: it changed nothing, so whatever the error, it is a definite one.
func ReadError(err error) error {
	if err == nil || Definite(err) {
		return err
	}
	return fmt.Errorf("%w: a read changes nothing: %w", harness.ErrNotApplied, err)
}

// ErrNoAnswer is for operations of many requests of which none was answered; each had its own reason. It surprises nobody.
var ErrNoAnswer = errors.New("no answer")

// Unexpected begins the error of an operation that ended in a way that nobody foresaw. The check for unexpected errors looks
// for it.
const Unexpected = "unexpected: "

// foreseenReasons are answers that leave the outcome of a write unknown and surprise nobody.
var foreseenReasons = []metav1.StatusReason{
	metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout, metav1.StatusReasonServiceUnavailable,
}

// foreseenInternal are parts of the messages of answers with code 500 that tell of etcd's trouble, or of the server's end. The server passes them on
// as it got them, most of them without a reason (pkg/endpoints/handlers/responsewriters, ErrorToAPIStatus).
var foreseenInternal = []string{
	"etcdserver: ", "rpc error: code = Unavailable", "rpc error: code = DeadlineExceeded", "rpc error: code = Canceled",
	"context deadline exceeded", "context canceled", "raft proposal dropped", "raft: stopped",
	// A server that has just started and does not know its ranges of addresses yet says that they are full (k8s.io/kubernetes,
	// pkg/registry/core/service/ipallocator/cidrallocator.go, AllocateNextService).
	"failed to allocate a serviceIP",
}

// foreseenTransport are parts of the texts of errors that have no type to tell them by.
var foreseenTransport = []string{
	"http2: client connection lost", "http2: client connection force closed", "http2: server sent GOAWAY", "stream error: ",
	"use of closed network connection", "http2: Transport: cannot retry err", "connection error: ",
}

// Text is an operation's error as it is recorded.
func Text(err error) string {
	if foreseen(err) {
		return err.Error()
	}
	return Unexpected + err.Error()
}

func foreseen(err error) bool {
	reason := apierrors.ReasonForError(err)
	var (
		network net.Error
		answer  apierrors.APIStatus
	)
	switch {
	case NeverSent(err), errors.Is(err, ErrNoAnswer), rejected(err), slices.Contains(foreseenReasons, reason):
		return true
	case errors.As(err, &answer) && answer.Status().Code == http.StatusInternalServerError:
		return contains(err, foreseenInternal)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &network),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return true
	}
	return contains(err, foreseenTransport)
}

func contains(err error, parts []string) bool {
	text := err.Error()
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
}
