package transactions

import (
	"fmt"
	"html"
	"strings"
)

// Sizes in a picture, in pixels.
const (
	boxHeight  = 34
	rowHeight  = 84
	letter     = 7 // width of one letter
	margin     = 16
	textMax    = 90 // letters of a transaction
	reasonMax  = 100
	picturesOf = 4 // cycles of one name that are drawn
)

// edgeColours are those of the kinds of edges.
var edgeColours = [...]string{"#1f6feb", "#2da44e", "#cf222e", "#8250df", "#57606a", "", "", ""}

// Picture is a drawing of the cycles, as one SVG, and the same as text; both are empty where there is none. Transactions stand below each other in the
// order of the cycle, edges between them have their reasons beside them, and the last one leads back up on the left.
func (r *Report) Picture() (svg, text []byte) {
	var drawn, told strings.Builder
	y, width := margin, 0
	count := map[string]int{}
	for i := range r.Anomalies {
		a := &r.Anomalies[i]
		if a.cycle == nil {
			continue
		}
		told.WriteString(r.table.describe(a.Name, a.cycle) + "\n")
		if count[a.Name]++; count[a.Name] > picturesOf {
			continue
		}
		height, wide := r.table.draw(&drawn, a.Name, a.cycle, y)
		y += height + rowHeight/2
		width = max(width, wide)
	}
	if told.Len() == 0 {
		return nil, nil
	}
	svg = fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="ui-monospace,monospace" font-size="12">
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, width+margin, y, width+margin, y, drawn.String())
	return svg, []byte(told.String())
}

// draw adds one cycle below y and returns how much room it took.
func (t *table) draw(b *strings.Builder, name string, c *cycle, y int) (height, width int) {
	const left = 90 // room for the edge that leads back
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold" font-size="14">%s</text>`+"\n", margin, y+14, html.EscapeString(name))
	top := y + 28
	at := func(i int) int { return top + i*rowHeight }
	for i, x := range c.txns {
		label := cut(t.name(x)+"  "+t.text(x), textMax)
		w := len([]rune(label))*letter + 2*margin
		width = max(width, left+w)
		dash := ""
		if !t.txns[x].ok() {
			dash = ` stroke-dasharray="4 3"`
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#f6f8fa" stroke="#57606a"%s/>`+"\n", left, at(i), w, boxHeight, dash)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left+margin, at(i)+22, html.EscapeString(label))
	}
	last := len(c.txns) - 1
	for i, k := range c.steps {
		colour := edgeColours[k.kind()]
		reason := cut(t.reason(c.txns[i], c.txns[(i+1)%len(c.txns)], k), reasonMax)
		x, from, to := left+2*margin, at(i)+boxHeight, at(i+1)
		reasonY := from + 30
		if i < last {
			fmt.Fprintf(b, `<path d="M%d %dV%d" fill="none" stroke="%s" stroke-width="2"/>`+"\n", x, from, to-6, colour)
			arrow(b, x, to, 0, colour)
		} else {
			fmt.Fprintf(b, `<path d="M%d %dH%dV%dH%d" fill="none" stroke="%s" stroke-width="2"/>`+"\n", left, at(last)+boxHeight/2, left-2*margin, at(0)+boxHeight/2, left-6, colour)
			arrow(b, left, at(0)+boxHeight/2, -90, colour)
			x = margin
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s"><tspan font-weight="bold">%s</tspan> %s</text>`+"\n", x+10, reasonY, colour, k.word(), html.EscapeString(reason))
		width = max(width, x+10+(len([]rune(reason))+10)*letter)
	}
	return at(last) + boxHeight + 40 - y, width
}

// arrow draws a head whose tip is at a point, turned by degrees from pointing down.
func arrow(b *strings.Builder, x, y, turn int, colour string) {
	fmt.Fprintf(b, `<path d="M0 0l-5 -9h10z" transform="translate(%d %d) rotate(%d)" fill="%s"/>`+"\n", x, y, turn, colour)
}

// cut shortens a text to a number of letters.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
