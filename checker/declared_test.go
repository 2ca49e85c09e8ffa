package checker

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// short writes declarations shorter: c1 is change 1, x3 three replicas, img:a the image a, u:A the UID, o:g1 the owner, how:orphan the way,
// gone and exists refusals, dying an object that is being deleted.
func short(text string) string {
	word := regexp.MustCompile(`\{([^}]*)\}`)
	return word.ReplaceAllStringFunc(text, func(m string) string {
		fields := []string{`"kind":"Deployment"`}
		for w := range strings.FieldsSeq(strings.Trim(m, "{}")) {
			name, value, _ := strings.Cut(w, ":")
			switch {
			case name == "img":
				fields = append(fields, fmt.Sprintf(`"image":%q`, value))
			case name == "u":
				fields = append(fields, fmt.Sprintf(`"uid":%q`, value))
			case name == "o":
				fields = append(fields, fmt.Sprintf(`"owner":%q`, value))
			case name == "how":
				fields = append(fields, fmt.Sprintf(`"how":%q`, value))
			case name == "kind":
				fields[0] = fmt.Sprintf(`"kind":%q`, value)
			case name == "dying":
				fields = append(fields, `"deleting":true`)
			case name == "gone":
				fields = append(fields, `"refused":"absent"`)
			case w[0] == 'c':
				fields = append(fields, `"change":`+w[1:])
			case w[0] == 'x':
				fields = append(fields, `"replicas":`+w[1:])
			default:
				fields = append(fields, fmt.Sprintf(`"refused":%q`, w))
			}
		}
		return "{" + strings.Join(fields, ",") + "}"
	})
}

func TestDeclared(t *testing.T) {
	const (
		made   = `0 create d {c1 x3 img:a u:A} v=10 / `
		scaled = made + `0 scale d {c2 x5} v=20 / `
	)
	cases := []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no declaration was acknowledged"},
		{name: "only reads", history: `0 read d {gone}`, want: "unknown", why: "nothing to check"},
		{name: "kept", history: scaled + `1 read d {c2 x5 img:a u:A} v=25`, want: "valid"},
		{name: "no final read", history: made + `0 read d {c1 x3 img:a} v=11 / 0 scale d {c2 x5} v=20`, want: "unknown", why: `"d" has no ok final read`},
		{
			name: "an acknowledged scale is gone though the object is newer", history: scaled + `1 read d {c1 x3 img:a} v=25 n=n2`,
			want: "invalid lost-update d [5 3 1]", why: "has version 25 and is as create 1 left it, but scale 3 was acknowledged with version 20",
		},
		{name: "stale", history: scaled + `1 read d {c1 x3 img:a} v=15`, want: "invalid stale-read d [5 3]", why: "has version 15, but scale 3 was acknowledged with version 20"},
		{name: "a concurrent scale need not show", history: made + `0 invoke scale d {c2 x5} / 1 read d {c1 x3 img:a} v=15 / 0 ok scale d {c2 x5} v=20 / 1 read d {c2 x5 img:a} v=20`, want: "valid"},
		{name: "one of unknown outcome may show", history: made + `0 invoke scale d {c2 x5} / 0 info scale d {c2 x5} ! timeout / 1 read d {c2 x5 img:a} v=20`, want: "valid"},
		{name: "or not", history: made + `0 invoke scale d {c2 x5} / 0 info scale d {c2 x5} ! timeout / 1 read d {c1 x3 img:a} v=20`, want: "valid"},
		{
			name:    "it may come late, after newer ones",
			history: made + `0 invoke scale d {c2 x5} / 0 info scale d {c2 x5} ! timeout / 1 scale d {c3 x1} v=20 / 1 read d {c2 x5 img:a} v=30`, want: "valid",
		},
		{
			name: "but not again after it was seen and overwritten",
			history: made + `0 invoke scale d {c2 x5} / 0 info scale d {c2 x5} ! timeout / 1 read d {c2 x5 img:a} v=15 / 1 scale d {c3 x1} v=20 /
				1 read d {c2 x5 img:a} v=30`, want: "invalid lost-update d [9 7 3]",
		},
		{name: "nobody declared that", history: made + `1 read d {c7 x3 img:a} v=12`, want: "invalid garbage-read d [3]", why: "change 7, which nobody declared"},
		{name: "who did failed", history: made + `0 invoke scale d {c2 x5} / 0 fail scale d {c2 x5} ! no / 1 read d {c2 x5 img:a} v=12`, want: "invalid aborted-read d [5 3]"},
		{name: "from the future", history: made + `1 read d {c2 x5 img:a} v=12 / 0 scale d {c2 x5} v=20 / 1 read d {c2 x5 img:a} v=20`, want: "invalid future-read d [3 5]"},
		{
			name:    "a version from before it was written",
			history: made + `0 invoke scale d {c2 x5} / 1 read d {c2 x5 img:a} v=15 / 0 ok scale d {c2 x5} v=20 / 1 read d {c2 x5 img:a} v=20`, want: "invalid future-read d [4 5]",
		},
		{
			name: "somebody quarrels about the replicas", history: scaled + `1 read d {c2 x4 img:a} v=30`, want: "invalid garbage-read d [5 3]",
			why: "has replicas 4, but by its change 2 it is as scale 3 left it, and scale 3 declared 5",
		},
		{name: "a scale leaves the image alone", history: scaled + `1 read d {c2 x5 img:b} v=30`, want: "invalid garbage-read d [5 1]", why: "has image b"},
		{name: "the image of a rollout of unknown outcome", history: made + `0 invoke rollout d {c2 img:b} / 0 info rollout d {c2 img:b} ! timeout /
			1 scale d {c3 x1} v=20 / 1 read d {c3 x1 img:b} v=30`, want: "valid"},
		{name: "the image of an older rollout", history: made + `0 rollout d {c2 img:b} v=12 / 0 scale d {c3 x1} v=20 / 1 read d {c3 x1 img:a} v=30`, want: "invalid garbage-read d [7 3]"},
		{name: "a rollback tells its image when it is done", history: made + `0 rollout d {c2 img:b} v=12 / 0 invoke rollback d {c3} / 0 ok rollback d {c3 img:a} v=14 /
			1 read d {c3 x3 img:b} v=30`, want: "invalid garbage-read d [7 5]"},
		{name: "one of unknown outcome does not", history: made + `0 rollout d {c2 img:b} v=12 / 0 invoke rollback d {c3} / 0 info rollback d {c3} ! timeout /
			1 read d {c3 x3 img:a} v=30`, want: "valid"},
		{name: "refused changes nothing", history: made + `0 invoke create d {c2 x1 img:b} / 0 ok create d {c2 exists} / 1 read d {c1 x3 img:a} v=10`, want: "valid"},
		{name: "and does not come to be", history: made + `0 invoke create d {c2 x1 img:b} / 0 ok create d {c2 exists} / 1 read d {c2 x1 img:b} v=12`, want: "invalid garbage-read d [5]"},

		{name: "lost", history: made + `1 read d {gone} n=n3`, want: "invalid lost d [3 1]", why: "read 3 of d on n3 does not find it, although create 1 had it"},
		{name: "not there for once", history: made + `1 read d {gone} / 1 read d {c1 x3 img:a u:A} v=10`, want: "invalid stale-read d [3 1 5]"},
		{name: "a refusal is a read too", history: made + `0 invoke scale d {c2 x5} / 0 ok scale d {c2 gone} / 1 read d {gone}`, want: "invalid lost d [3 1] lost d [5 1]"},
		{name: "of unknown outcome and never there", history: made + `0 invoke create e {c2 x5} / 0 info create e {c2 x5} ! timeout / 1 read e {gone} / 1 read d {c1 x3 img:a} v=10`, want: "valid"},
		{name: "of unknown outcome, seen and lost", history: `0 invoke create d {c2 x5} / 0 info create d {c2 x5} ! timeout / 1 read d {c2 x5} v=7 / 1 read d {gone}`, want: "invalid lost d [5 3]"},
		{name: "deleted", history: made + `0 invoke delete d {how:background} / 0 ok delete d {u:A} / 1 read d {gone}`, want: "valid"},
		{name: "deleted, maybe", history: made + `0 invoke delete d {how:background} / 0 info delete d {} ! timeout / 1 read d {gone}`, want: "valid"},
		{
			name:    "a delete of unknown outcome may take the next one",
			history: made + `0 invoke delete d {how:background} / 0 info delete d {} ! timeout / 1 create d {c2 x1 u:B} v=20 / 1 read d {gone}`, want: "valid",
		},
		{
			name:    "deleted, made again and lost",
			history: made + `0 invoke delete d {how:background} / 0 ok delete d {u:A} / 0 create d {c2 x1 img:a u:B} v=20 / 1 read d {gone}`, want: "invalid lost d [7 5]",
		},
		{name: "back from the dead", history: made + `0 invoke delete d {how:background} / 0 ok delete d {u:A} / 1 read d {c1 x3 img:a u:A} v=10`, want: "invalid lost-delete d [5 3]"},
		{name: "dying is all right", history: made + `0 invoke delete d {how:foreground} / 0 ok delete d {u:A} / 1 read d {c1 x3 img:a u:A dying} v=12`, want: "valid"},
		{name: "another one of the same name too", history: made + `0 invoke delete d {how:background} / 0 ok delete d {u:A} / 0 create d {c2 x1 img:a u:B} v=20 / 1 read d {c2 x1 img:a u:B} v=20`, want: "valid"},

		{name: "what belongs to nobody deleted stays", history: `0 create g {c1} v=10 / 0 create g-a {c2 o:g} v=11 / 1 read g {c1} v=10 / 1 read g-a {gone}`, want: "invalid lost g-a [7 3]"},
		{name: "what belongs to a deleted one goes", history: `0 create g {c1 u:A} v=10 / 0 create g-a {c2 o:g} v=11 / 0 invoke delete g {} / 0 ok delete g {u:A} / 1 read g {gone} / 1 read g-a {gone}`, want: "valid"},
		{
			name: "also what belongs to that",
			history: `0 create g {c1 u:A} v=10 / 0 create g-a {c2 o:g} v=11 / 0 create g-a-b {c3 o:g-a} v=12 / 0 invoke delete g {} / 0 ok delete g {u:A} /
				1 read g {gone} / 1 read g-a {gone} / 1 read g-a-b {gone}`, want: "valid",
		},
		{name: "that an owner is not there does not mean that one was lost", history: `0 create g {c1 u:A} v=10 / 0 invoke create g-a {c2 o:h} / 0 ok create g-a {c2 gone} / 1 read g {c1} v=10`, want: "valid"},

		{name: "versions fall", history: `0 create d {c1} v=20 / 0 create e {c2} v=10 / 1 read d {c1} v=20 / 1 read e {c2} v=10`, want: "invalid incompatible-order e [3 1]"},
		{name: "a version twice", history: `0 create d {c1} v=20 / 0 create e {c2} v=20 / 1 read d {c1} v=20 / 1 read e {c2} v=20`, want: "invalid incompatible-order e [3 1]"},
		{name: "concurrent ones have any order", history: `0 invoke create d {c1} / 1 create e {c2} v=10 / 0 ok create d {c1} v=9 / 1 read d {c1} v=9 / 1 read e {c2} v=10`, want: "valid"},
		{name: "an incomplete history can't show losses at the end", cut: true, history: made, want: "unknown", why: "the history is incomplete"},
		{name: "but what it shows counts", cut: true, history: scaled + `1 read d {c1 x3 img:a} v=25`, want: "invalid lost-update d [5 3 1]"},
	}
	for i := range cases {
		cases[i].history = short(cases[i].history)
	}
	runTranscripts(t, Declared(DeclaredOptions{}), cases)
	runTranscripts(t, Declared(DeclaredOptions{Vanishing: []string{"Pod"}}), []transcriptCase{
		{name: "some vanish by themselves", history: short(`0 create p {kind:Pod c1} v=10 / 1 read p {kind:Pod gone}`), want: "valid"},
		{name: "others don't", history: short(`0 create p {c1} v=10 / 1 read p {gone}`), want: "invalid lost p [3 1]"},
	})
}

// A history that can't be understood is the harness's failure.
func TestDeclaredRefusesOtherValues(t *testing.T) {
	h := transcript(t, `0 create d 7`)
	if _, err := Declared(DeclaredOptions{}).Check(t.Context(), h, Budget{}); err == nil || !strings.Contains(err.Error(), "operation 0") {
		t.Errorf("got %v", err)
	}
	var _ history.Source = h
}
