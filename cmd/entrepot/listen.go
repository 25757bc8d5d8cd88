package main

import "net"

// listen listens on a TCP address. Its error names the setting that the address comes from.
func listen(variable, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil && variable == "PORT" {
		return nil, wrong(variable, "%w; name a free port, or an address in ENTREPOT_LISTEN", err)
	}
	if err != nil {
		return nil, wrong(variable, "%q: %w; name an address of this machine with a free port, such as :5000", address, err)
	}
	return l, nil
}
