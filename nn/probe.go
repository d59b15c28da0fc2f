package nn

import (
	"fmt"

	"autolora/nn/peft"
	"autolora/torchbind"
)

// Probe is an adapter that changes nothing: it keeps, of the latest pass, what its
// module was given, and what the loss can be differentiated by in place of its
// output. So the gradient by a frozen weight W [out, in] is
//
//	∂L/∂W = (∂L/∂Y)ᵀ X
//
// without W being part of a graph, and what is wanted of it can be computed of the
// two factors.
type Probe struct {
	Module string
	// X [N, in] and Y [N, out], which is zero, are those of the latest pass: of the
	// rows that the module computed. They live in the scope that was given to Probe.
	// Modules that read one x, as query and key do, have the same X.
	X, Y *torchbind.Tensor

	pass *probing // nil where nobody probes
}

// probing is one pass of a model whose probes keep what they see in a scope.
type probing struct {
	scope   *torchbind.Scope
	x, kept *torchbind.Tensor // that the latest probe was given, and its X
}

// AddProbes gives the modules that targets name, which have no adapters, a probe
// each, in the order of the architecture.
func (m *Model) AddProbes(targets []string) ([]*Probe, error) {
	paths, err := m.Modules(targets)
	if err != nil {
		return nil, err
	}
	var probes []*Probe
	for _, path := range paths {
		l, part := m.linear(path)
		if l.Adapters[part] != nil {
			return nil, fmt.Errorf("layer %q has an adapter already", path)
		}
		p := &Probe{Module: path}
		l.Adapters[part], probes = p, append(probes, p)
	}
	return probes, nil
}

// Probe runs fn, in which the model's probes keep tensors in s.
func (m *Model) Probe(s *torchbind.Scope, fn func()) {
	pass := &probing{scope: s}
	for _, p := range adaptersOf[*Probe](m) {
		p.pass = pass
		defer func() { p.pass = nil }()
	}
	fn()
}

// ModuleWeight returns the weight [out, in] of the module at path, without what
// adapters make of it: a view in s.
func (m *Model) ModuleWeight(s *torchbind.Scope, path string) *torchbind.Tensor {
	l, part := m.linear(path)
	row := l.first
	for _, module := range l.Modules[:part] {
		row += module.Rows
	}
	return torchbind.Narrow(s, torchbind.Detach(s, l.Weight.Dense(s, m.dtype)), 0, row, l.Modules[part].Rows)
}

// Forward implements AdapterLayer. Where nobody probes it returns y.
func (p *Probe) Forward(s *torchbind.Scope, x, y *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
	if p.pass == nil {
		return y
	}
	if p.pass.x != x {
		p.pass.x, p.pass.kept = x, p.pass.scope.Keep(torchbind.Detach(s, x))
	}
	p.X = p.pass.kept
	p.Y = p.pass.scope.Keep(torchbind.ZerosLike(s, y)).SetRequiresGrad(true)
	return torchbind.Add(s, y, p.Y)
}

// Params implements AdapterLayer: there is nothing to train.
func (p *Probe) Params() []*Param { return nil }

// Merge implements ModuleAdapter.
func (p *Probe) Merge(_ *torchbind.Scope, w *torchbind.Tensor) *torchbind.Tensor { return w }

// Layer implements ModuleAdapter: a layer of rank 0 is the base.
func (p *Probe) Layer(*peft.Config) peft.Layer { return peft.Layer{Name: p.Module} }
