package distribution_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// reference has the keys of distribution's configuration reference, except for those of storage drivers.
const reference = `
version: 0.1
log:
  accesslog: {disabled: false}
  level: debug
  formatter: text
  fields: {service: registry}
  hooks: [{type: mail, disabled: true, levels: [panic], options: {smtp: {addr: a, password: p}, to: [x]}}]
  reportcaller: true
loglevel: debug
storage:
  DRIVER
  tag: {concurrencylimit: 8}
  delete: {enabled: false}
  redirect: {disable: false}
  cache: {blobdescriptor: redis, blobdescriptorsize: 10000}
  maintenance:
    uploadpurging: {enabled: true, age: 168h, interval: 24h, dryrun: false}
    readonly: {enabled: false}
auth:
  token: {autoredirect: true, realm: r, service: s, issuer: i, rootcertbundle: /c, jwks: /j, signingalgorithms: [EdDSA]}
middleware:
  registry: [{name: A, options: {foo: bar}}]
  repository: [{name: A, options: {foo: bar}}]
  storage: [{name: cloudfront, options: {baseurl: 'https://cdn', privatekey: /k, keypairid: k, duration: 3000s, ipfilteredby: awsregion, awsregion: x, updatefrequency: 12h, iprangesurl: 'https://x'}}]
catalog: {maxentries: 1000}
tags: {maxtags: 1000}
http:
  addr: localhost:5000
  net: tcp
  prefix: /my/nested/registry/
  host: https://myregistryaddress.org:5000
  secret: asecretforlocaldevelopment
  relativeurls: false
  draintimeout: 60s
  tls: {certificate: /c, key: /k, clientcas: [/a], clientauth: require-and-verify-client-cert, minimumtls: tls1.2, letsencrypt: {hosts: [x]}}
  debug: {addr: 'localhost:5001', prometheus: {enabled: true, path: /metrics}}
  headers: {X-Content-Type-Options: [nosniff]}
  http2: {disabled: false}
  h2c: {enabled: false}
notifications:
  events: {includereferences: true}
  endpoints: [{name: alistener, url: 'https://my.listener.com/event', timeout: 1s, ignore: {actions: [pull]}}]
redis: {addrs: ['localhost:6379'], password: asecret, db: 0, tls: {enabled: false}}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
  file: [{file: /path, interval: 10s}]
  http: [{uri: 'http://server', headers: {Authorization: [Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==]}, statuscode: 200}]
  tcp: [{addr: 'redis:6379', timeout: 3s}]
proxy:
  remoteurl: https://registry-1.docker.io
  username: u
  password: p
  exec: {command: docker-credential-helper, lifetime: 1h}
  ttl: 168h
  cachewritetimeout: 5m
validation:
  disabled: false
  manifests: {urls: {allow: [a], deny: [b]}, indexes: {platforms: List, platformlist: [{architecture: amd64, os: linux}]}}
policy: {repository: {classes: [image]}}
`

// drivers have the parameters of storage drivers in distribution's documentation.
var drivers = map[string]string{
	"filesystem": "filesystem: {rootdirectory: /var/lib/registry, maxthreads: 100}",
	"azure":      "azure: {accountname: a, accountkey: k, container: c, rootdirectory: /az, credentials: {type: client_secret, secret: s}, max_retries: 10, retry_delay: 100ms}",
	"gcs":        "gcs: {bucket: bucketname, keyfile: /path, credentials: {type: service_account, private_key: k}, rootdirectory: /p, chunksize: 5242880}",
	"s3": "s3: {accesskey: a, secretkey: s, region: us-west-1, regionendpoint: 'http://myobjects.local', redirectendpoint: 'https://p', forcepathstyle: true, accelerate: false, " +
		"bucket: bucketname, encrypt: true, keyid: mykeyid, secure: true, skipverify: true, v4auth: true, chunksize: 5242880, multipartcopychunksize: 33554432, " +
		"multipartcopymaxconcurrency: 100, multipartcopythresholdsize: 33554432, rootdirectory: /p, storageclass: STANDARD, useragent: x, usedualstack: false, " +
		"usefipsendpoint: false, objectacl: private, loglevel: debug}",
	"inmemory": "inmemory:",
}

func TestEachKeyOfTheReferenceIsExplained(t *testing.T) {
	for name, driver := range drivers {
		t.Run(name, func(t *testing.T) {
			translation := translate(t, strings.Replace(reference, "DRIVER", driver, 1))
			assert.NotEmpty(t, translation.Settings)
			for _, n := range translation.Notes {
				assert.NotEqual(t, "no equivalent", n.Text, n.Key)
			}
		})
	}
}
