package node

import (
	"errors"
	"fmt"
	"net/netip"
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
				UserData: userdata.AppendString(nil, userdata.TypeComment, strings.TrimSpace(fmt.Sprint(i, " ", r.From))),
			})
		}
	}
	if err := conn.Flush(); err != nil {
		return nftError("add the rules of cut "+strconv.Quote(id), err)
	}
	return nil
}

// matchRule gives the expressions of the kernel's rules for one rule: one for each port and direction.
func matchRule(r control.CutRule) ([][]expr.Any, error) {
	from, err := matchFrom(r.From)
	if err != nil {
		return nil, err
	}
	head := append(notLoopback(), from...)
	head = append(head, matchTCP()...)
	act := []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	if r.Reset {
		head = append(head, withoutRST()...)
		act = []expr.Any{&expr.Counter{}, &expr.Reject{Type: rejectTCPReset}}
	}
	var all [][]expr.Any
	for _, port := range r.Ports {
		for _, offset := range portOffsets(r) {
			rule := append([]expr.Any{}, head...)
			rule = append(rule,
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(uint16(port))},
			)
			all = append(all, append(rule, act...))
		}
	}
	return all, nil
}

// portOffsets are the bytes of the TCP header where the link's port stands: 0 is the source port, that of answers
// from a server; 2 the destination port, that of requests to one.
func portOffsets(r control.CutRule) []uint32 {
	switch {
	case r.ServerOnly:
		return []uint32{2}
	case r.ClientOnly:
		return []uint32{0}
	}
	return []uint32{0, 2}
}

// notLoopback: what a node says to itself is never cut.
func notLoopback() []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
	}
}

// matchFrom matches the sender's address, which is in bytes 12–15 of an IPv4 header and 8–23 of an IPv6 one.
func matchFrom(from string) ([]expr.Any, error) {
	if from == "" {
		return nil, nil
	}
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return nil, fmt.Errorf("cut from %q: %w", from, err)
	}
	family, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if addr.Is6() {
		family, offset = unix.NFPROTO_IPV6, 8
	}
	raw := addr.AsSlice()
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
		comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		number, from, _ := strings.Cut(comment, " ")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i > len(counts) {
			return nil, fmt.Errorf("chain %s has a rule that is not ours: %q", c.Name, comment)
		}
		if i == len(counts) {
			counts = append(counts, control.CutCount{From: from})
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
