package node

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

// tableName is the only nftables table of a node that Faultline touches, in the family inet.
const tableName = "faultline"

// chainPrefix stands before a cut's id in its chain's name.
const chainPrefix = "cut-"

// rejectTCPReset is NFT_REJECT_TCP_RST of linux/netfilter/nf_tables.h.
const rejectTCPReset = 1

func inetTable(name string) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: name}
}

// addChain makes the table, if need be, and in it one chain on the input hook with the cut's rules; all or nothing.
func addChain(table, id string, rules []control.CutRule) error {
	conn, err := nftables.New()
	if err != nil {
		return nftError("open netlink", err)
	}
	t := conn.AddTable(inetTable(table))
	chain := conn.AddChain(&nftables.Chain{
		Name: chainPrefix + id, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	for i, r := range rules {
		matches, err := matchRule(r)
		if err != nil {
			return err
		}
		for _, m := range matches {
			conn.AddRule(&nftables.Rule{
				Table: t, Chain: chain, Exprs: m,
				UserData: userdata.AppendString(nil, userdata.TypeComment, comment(i, r)),
			})
		}
	}
	if err := conn.Flush(); err != nil {
		return nftError("add the rules of cut "+strconv.Quote(id), err)
	}
	return nil
}

// comment names a rule in the kernel, so that its counters can be told apart: its number, then what it is told by.
func comment(i int, r control.CutRule) string {
	switch {
	case r.To != "":
		return fmt.Sprint(i, " to ", r.To)
	case r.From != "":
		return fmt.Sprint(i, " from ", r.From)
	}
	return strconv.Itoa(i)
}

// parseComment is comment's inverse.
func parseComment(text string) (i int, c control.CutCount, err error) {
	number, rest, _ := strings.Cut(text, " ")
	if i, err = strconv.Atoi(number); err != nil || i < 0 {
		return 0, c, fmt.Errorf("a rule that is not ours: %q", text)
	}
	c.From, _ = strings.CutPrefix(rest, "from ")
	if to, found := strings.CutPrefix(rest, "to "); found {
		c.From, c.To = "", to
	}
	return i, c, nil
}

// matchRule gives the expressions of the kernel's rules for one rule: one for each port and direction.
func matchRule(r control.CutRule) ([][]expr.Any, error) {
	var tail []expr.Any
	act := []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	if r.Reset {
		tail = withoutRST()
		act = []expr.Any{&expr.Counter{}, &expr.Reject{Type: rejectTCPReset}}
	}
	var all [][]expr.Any
	for _, d := range directions(r) {
		ends, err := matchEnds(r, d)
		if err != nil {
			return nil, err
		}
		for _, port := range r.Ports {
			rule := slices.Concat(ends, matchTCP(), tail, []expr.Any{
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: d.port, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(uint16(port))},
			}, act)
			all = append(all, rule)
		}
	}
	return all, nil
}

// matchEnds matches where a packet comes from, and for a loopback link the server's address: that of the receiver in requests,
// of the sender in answers. The client's says nothing: it is 127.0.0.1 for whatever server the client talks to.
func matchEnds(r control.CutRule, d direction) ([]expr.Any, error) {
	if r.To == "" {
		from, err := matchAddr(r.From, sender)
		if err != nil {
			return nil, fmt.Errorf("cut from %q: %w", r.From, err)
		}
		return append(matchLoopback(false), from...), nil
	}
	server, err := matchAddr(r.To, d.server)
	if err != nil {
		return nil, fmt.Errorf("cut to %q: %w", r.To, err)
	}
	return append(matchLoopback(true), server...), nil
}

// end is an address of a packet: of its sender, or of its receiver.
type end bool

const (
	sender   end = false
	receiver end = true
)

// direction is that of requests to a server, or of answers from one.
type direction struct {
	// server is the packet's address that is the server's.
	server end
	// port is the byte of the TCP header where the server's port stands: 0 is the source port, 2 the destination port.
	port uint32
}

// directions are those that a rule means.
func directions(r control.CutRule) []direction {
	request, answer := direction{receiver, 2}, direction{sender, 0}
	switch {
	case r.ServerOnly:
		return []direction{request}
	case r.ClientOnly:
		return []direction{answer}
	}
	return []direction{answer, request}
}

// matchLoopback matches what a node says to itself, or everything else. Only a rule that is told by a loopback address cuts that.
func matchLoopback(is bool) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	op := expr.CmpOpNeq
	if is {
		op = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: name},
	}
}

// matchAddr matches an address of a packet; an empty one matches all. The sender's is in bytes 12–15 of an IPv4 header and 8–23
// of an IPv6 one, the receiver's right behind it.
func matchAddr(text string, e end) ([]expr.Any, error) {
	if text == "" {
		return nil, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return nil, err
	}
	addr = addr.Unmap()
	family, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if addr.Is6() {
		family, offset = unix.NFPROTO_IPV6, 8
	}
	raw := addr.AsSlice()
	if e == receiver {
		offset += uint32(len(raw))
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(raw))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: raw},
	}, nil
}

func matchTCP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// withoutRST matches segments that are no resets. Those of the other side must arrive, or only one end of a
// connection would learn that it is broken.
func withoutRST() []expr.Any {
	const flags, rst = 13, 0x04 // byte and bit of the TCP header
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{rst}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
	}
}

// chains are the table's; nil if there is no such table.
func chains(conn *nftables.Conn, table string) ([]*nftables.Chain, error) {
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, nftError("list the chains", err)
	}
	var own []*nftables.Chain
	for _, c := range all {
		if c.Table.Name == table {
			own = append(own, c)
		}
	}
	return own, nil
}

// countChain sums up what each rule of a cut has caught.
func countChain(table, id string) (counts []control.CutCount, there bool, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, false, nftError("open netlink", err)
	}
	own, err := chains(conn, table)
	if err != nil {
		return nil, false, err
	}
	for _, c := range own {
		if c.Name == chainPrefix+id {
			counts, err := countRules(conn, c)
			return counts, true, err
		}
	}
	return nil, false, nil
}

func countRules(conn *nftables.Conn, c *nftables.Chain) ([]control.CutCount, error) {
	rules, err := conn.GetRules(inetTable(c.Table.Name), c)
	if err != nil {
		return nil, nftError("read the counters of chain "+c.Name, err)
	}
	counts := []control.CutCount{}
	for _, r := range rules {
		text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		i, count, err := parseComment(text)
		if err == nil && i > len(counts) {
			err = fmt.Errorf("rule %d behind %d others", i, len(counts))
		}
		if err != nil {
			return nil, fmt.Errorf("chain %s: %w", c.Name, err)
		}
		if i == len(counts) {
			counts = append(counts, count)
		}
		for _, e := range r.Exprs {
			if n, ok := e.(*expr.Counter); ok {
				counts[i].Packets += n.Packets
				counts[i].Bytes += n.Bytes
			}
		}
	}
	return counts, nil
}

// removeChain removes a cut and, with the last one, the table.
func removeChain(table, id string) (counts []control.CutCount, there bool, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, false, nftError("open netlink", err)
	}
	own, err := chains(conn, table)
	if err != nil {
		return nil, false, err
	}
	for _, c := range own {
		if c.Name != chainPrefix+id {
			continue
		}
		if counts, err = countRules(conn, c); err != nil {
			return nil, true, err
		}
		if len(own) == 1 {
			conn.DelTable(inetTable(table))
		} else {
			conn.FlushChain(c)
			conn.DelChain(c)
		}
		if err := conn.Flush(); err != nil {
			return nil, true, nftError("remove cut "+strconv.Quote(id), err)
		}
		return counts, true, nil
	}
	return nil, false, nil
}

// removeTable removes every cut at once and tells what each had caught.
func removeTable(table string) (map[string][]control.CutCount, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, nftError("open netlink", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, nftError("list the tables", err)
	}
	there := false
	for _, t := range tables {
		there = there || t.Name == table
	}
	if !there {
		return nil, nil
	}
	own, err := chains(conn, table)
	if err != nil {
		return nil, err
	}
	caught := map[string][]control.CutCount{}
	for _, c := range own {
		// A chain that can't be read is removed all the same.
		caught[strings.TrimPrefix(c.Name, chainPrefix)], _ = countRules(conn, c)
	}
	conn.DelTable(inetTable(table))
	if err := conn.Flush(); err != nil {
		return nil, nftError("remove the table", err)
	}
	return caught, nil
}

// nftError adds what to do about it.
func nftError(what string, err error) error {
	fix := ""
	switch {
	case errors.Is(err, unix.EPERM):
		fix = " (it takes root, or CAP_NET_ADMIN)"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT):
		fix = " (the kernel needs nf_tables with the family inet and reject: modprobe nf_tables nft_reject_inet)"
	}
	return fmt.Errorf("nftables: %s%s: %w", what, fix, err)
}
