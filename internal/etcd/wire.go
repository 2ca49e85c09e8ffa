package etcd

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// This file speaks etcd's lock and election services (v3lock.proto, v3election.proto). Their Go code comes with etcd's server only, which is too much to carry
// for eight small messages: they are written and read here by their field numbers.

const (
	methodLock     = "/v3lockpb.Lock/Lock"
	methodUnlock   = "/v3lockpb.Lock/Unlock"
	methodCampaign = "/v3electionpb.Election/Campaign"
	methodProclaim = "/v3electionpb.Election/Proclaim"
	methodResign   = "/v3electionpb.Election/Resign"
	methodObserve  = "/v3electionpb.Election/Observe"
)

// message is one in its encoded form.
type message []byte

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) number(field protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v)) //nolint:gosec // protobuf's own encoding of an int64
}

// errGarbled is an answer that is no message of its kind.
var errGarbled = errors.New("the answer can't be read")

// fields are a message's numbers and byte strings; of a field that is there several times, the last.
func (m message) fields() (numbers map[protowire.Number]int64, texts map[protowire.Number]message, err error) {
	numbers, texts = map[protowire.Number]int64{}, map[protowire.Number]message{}
	for b := []byte(m); len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("%w: %w", errGarbled, protowire.ParseError(n))
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				numbers[field] = int64(v) //nolint:gosec // protobuf's own encoding of an int64
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 {
				texts[field] = v
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return nil, nil, fmt.Errorf("%w: %w", errGarbled, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return numbers, texts, nil
}

// asIs is a codec of messages that are encoded already.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) ([]byte, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("%T is no encoded message", v)
	}
	return *m, nil
}

func (asIs) Unmarshal(data []byte, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("%T is no encoded message", v)
	}
	*m = append(message{}, data...)
	return nil
}

// speak makes one call of a service whose messages are encoded here.
func (c *conn) speak(ctx context.Context, method string, req message) (resp message, err error) {
	resp, _, err = call(ctx, c, func(ctx context.Context, req message, o ...grpc.CallOption) (message, error) {
		var resp message
		err := c.grpc.Invoke(ctx, method, &req, &resp, append(o, grpc.ForceCodec(asIs{}))...)
		return resp, err
	}, req)
	return resp, err
}

// leaderKey is the message that an elected candidate is known by.
type leaderKey struct {
	name, key  string
	rev, lease int64
}

func (l leaderKey) message() message {
	return message{}.bytes(1, []byte(l.name)).bytes(2, []byte(l.key)).number(3, l.rev).number(4, l.lease)
}
