package distribution

import (
	"errors"
	"net/url"
	"strings"
)

// Translate translates the text of a configuration file, which may be empty, as overridden by the REGISTRY_ variables in
// environ. An error means that distribution would refuse the configuration too.
func Translate(file []byte, environ []string) (*Translation, error) {
	parsed, err := parse(file)
	if err != nil {
		return nil, err
	}
	root, ok := parsed.(tree)
	if !ok && parsed != nil {
		return nil, errors.New("not a configuration of distribution: no keys and values")
	}
	if root == nil {
		root = tree{}
	}
	root.expandDriver()
	if err := root.override(environ); err != nil {
		return nil, err
	}
	c := configuration{root, &Translation{}}
	if version, has := c.take("version"); has && version != "0.1" {
		return nil, errors.New("version is not 0.1, the only version of distribution's configuration")
	}
	if err := c.storage(); err != nil {
		return nil, err
	}
	c.http()
	c.proxy()
	c.log()
	c.explainRest()
	return c.out, nil
}

func (c *configuration) http() {
	if network, _ := c.take("http.net"); network == "unix" {
		c.take("http.addr")
		c.out.note("http.net", "entrepot listens on TCP only; ENTREPOT_LISTEN has its default")
	}
	c.set("http.addr", "ENTREPOT_LISTEN")
	c.set("http.debug.addr", "ENTREPOT_ADMIN_LISTEN")
	if drain, has := c.takeDuration("http.draintimeout"); has {
		if drain > 0 {
			c.out.set("http.draintimeout", "ENTREPOT_DRAIN_TIMEOUT", duration(drain))
		} else {
			c.out.note("http.draintimeout", "entrepot always lets responses end; ENTREPOT_DRAIN_TIMEOUT has its default")
		}
	}
}

func (c *configuration) proxy() {
	const key = "proxy.remoteurl"
	_, isMirror := c.tree.at(split(key)...)
	u := c.takeURL(key, "")
	_, hasUser := c.take("proxy.username")
	_, hasPassword := c.take("proxy.password")
	switch {
	case u != nil:
		c.out.set(key, "ENTREPOT_UPSTREAMS", upstream(u))
		c.out.note(key, "entrepot can mirror more registries: list them in ENTREPOT_UPSTREAMS, this one first as the default")
	case !isMirror:
		c.out.note(key, "without it distribution is a registry to push to; entrepot is only a mirror, and ENTREPOT_UPSTREAMS has its default")
	}
	if hasUser || hasPassword {
		login := "docker login"
		if u != nil && !isDockerHub(u) {
			login += " " + u.Host
		}
		c.out.note("proxy.username, proxy.password", "put them into Docker's config.json ("+login+"), or into ENTREPOT_DOCKER_CONFIG as its text")
	}
}

// upstream returns the element of ENTREPOT_UPSTREAMS for an endpoint.
func upstream(u *url.URL) string {
	switch {
	case isDockerHub(u):
		return "docker.io"
	case strings.HasPrefix(u.Host, "["): // an IPv6 address cannot be a name
		return "upstream=" + u.String()
	case u.Scheme == "https" && u.Path == "":
		return u.Host
	}
	return u.Host + "=" + u.String()
}

func isDockerHub(u *url.URL) bool {
	switch u.Host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return u.Scheme == "https" && u.Path == ""
	}
	return false
}

func (c *configuration) log() {
	level, has := c.take("log.level")
	if old, hasOld := c.take("loglevel"); !has && hasOld {
		level, has = old, true
	}
	if has {
		c.out.set("log.level", "ENTREPOT_LOG_LEVEL", strings.ToLower(level))
	}
	switch format, has := c.take("log.formatter"); {
	case format == "logstash":
		c.out.set("log.formatter", "ENTREPOT_LOG_FORMAT", "json")
		c.out.note("log.formatter", "entrepot's JSON has other fields than logstash's")
	case has:
		c.out.set("log.formatter", "ENTREPOT_LOG_FORMAT", format)
	}
	if c.takeBool("log.accesslog.disabled", true) {
		c.out.set("log.accesslog.disabled", "ENTREPOT_ACCESS_LOG", "false")
	}
}

// explainRest adds a note for each key that is left.
func (c *configuration) explainRest() {
	for _, path := range c.tree.leaves() {
		key, text := withoutEquivalent(path)
		c.out.note(key, text)
	}
}
