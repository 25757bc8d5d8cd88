#!/usr/bin/env bash
# Builds a release in a folder: for each platform an archive (program, license, README, changelog) and a CycloneDX SBOM,
# for Linux also deb and rpm packages, then checksums of all files. The build is reproducible.
#
#   release.sh FOLDER PLATFORM...      such as linux/amd64 linux/arm/v7
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1; shift
export VERSION=${VERSION:-$(git describe --tags --always --dirty)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC

rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed 's|/usr/local/bin/|/usr/bin/|' infra/systemd/entrepot.service >"$work/entrepot.service"
for platform in "$@"; do
  IFS=/ read -r os arch variant <<<"$platform"
  name=entrepot_${VERSION#v}_${os}_${arch}${variant}
  mkdir "$work/$name"
  program=$work/$name/entrepot
  [[ $os != windows ]] || program+=.exe
  GOOS=$os GOARCH=$arch GOARM=${variant#v} infra/release/compile.sh "$program"
  cp LICENSE README.md CHANGELOG.md "$work/$name/"
  chmod 755 "$work/$name" "$program"
  chmod 644 "$work/$name"/*.md "$work/$name/LICENSE"
  tar -C "$work" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c "$name" |
    gzip -9n >"$out/$name.tar.gz"
  # Leave out the serial number and the time, which differ from run to run.
  "${CYCLONEDX:-cyclonedx-gomod}" bin -json -noserial -notimestamp -version "$VERSION" -output "$out/$name.cdx.json" "$program" 2>"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
  if [[ $os == linux ]]; then
    for format in deb rpm; do
      ARCH=$arch${variant#v} PROGRAM=$program UNIT=$work/entrepot.service \
        "${NFPM:-nfpm}" package --config infra/release/package/nfpm.yaml --packager "$format" --target "$out/" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    done
  fi
done
(cd "$out" && sha256sum -- *.* >"$work/checksums.txt" && mv "$work/checksums.txt" .)
cat "$out/checksums.txt"
