#!/bin/sh
# The final stage of the Dockerfile: prepare.sh
# makes the user that the service runs as, who owns nothing but the folder of its data.
set -eu
id=10001

echo "maimconfig:x:$id:" >>/etc/group
echo "maimconfig:x:$id:$id:MaimConfig:/var/lib/maimconfig:/usr/sbin/nologin" >>/etc/passwd
install -d -o "$id" -g "$id" -m 0700 /var/lib/maimconfig
