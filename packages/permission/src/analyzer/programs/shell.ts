/** The system, wrappers that start other programs, shells and languages. */
import type { ProgramTable } from "../ProgramEntry.js"

export const shell: ProgramTable = {
  // Wrappers.
  env: {
    flags: "-i -0 -v --ignore-environment --null --debug -",
    values: { text: "-u --unset", cwd: "-C --chdir" },
    runs: "assignments",
    otherwise: "secret"
  },
  nice: { values: { text: "-n --adjustment" }, numeric: true, runs: "program" },
  ionice: { flags: "-t", values: { text: "-c -n --class --classdata" }, runs: "program" },
  nohup: { runs: "program" },
  "caffeinate unbuffer": { flags: "-w -f --wait --fork", runs: "program" },
  timeout: {
    flags: "-f -v -p --foreground --preserve-status --verbose",
    values: { text: "-k -s --kill-after --signal" },
    operands: "text",
    skips: 1,
    runs: "program"
  },
  gtimeout: {
    flags: "--foreground --preserve-status",
    values: { text: "-k -s --kill-after --signal" },
    operands: "text",
    skips: 1,
    runs: "program"
  },
  stdbuf: { values: { text: "-i -o -e --input --output --error" }, runs: "program" },
  time: {
    flags: "-p -v --portability --verbose",
    values: { text: "-f --format", write: "-o --output" },
    runs: "program"
  },
  valgrind: {
    tells: "--version --help",
    flags: "-q -v --quiet --verbose",
    values: {
      write: "--log-file --xml-file --callgrind-out-file --massif-out-file --cachegrind-out-file --dhat-out-file"
    },
    attached:
      "--xml --child-silent-after-fork --trace-children --gen-suppressions --undef-value-errors --cache-sim --branch-sim --time-unit --max-snapshots --leak-resolution --keep-stacktraces --exit-on-first-error --leak-check --show-leak-kinds --track-origins --error-exitcode --tool --num-callers --errors-for-leak-kinds --suppressions",
    runs: "program"
  },
  perf: {
    tells: "--version",
    subcommands: {
      stat: { flags: "-d -a -v", values: { text: "-e -r" }, runs: "program" },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  chronic: { runs: "program" },
  taskset: { flags: "-a", values: { text: "-c" }, operands: "text", skips: 1, runs: "program" },
  "cross-env": { runs: "assignments" },
  xargs: {
    flags: "-0 -r -t -x -o --null --no-run-if-empty --verbose --exit --open-tty -i",
    values: {
      text: "-n -P -L -s -I -d -E --max-args --max-procs --max-lines --max-chars --delimiter",
      read: "-a --arg-file"
    },
    attached: "--replace -l -e",
    ordered: true,
    rule: "xargs"
  },
  flock: {
    flags: "-n -x -s -e -u --nonblock --exclusive --shared",
    values: { text: "-w -E --timeout" },
    operands: "write",
    skips: 1,
    runs: "program"
  },
  "sudo doas su pkexec runuser gosu setpriv capsh newgrp  chroot unshare nsenter bwrap firejail": {
    effect: "privilege",
    style: "none",
    operands: "text*"
  },
  "setsid watch entr expect strace ltrace gdb lldb rr at batch tmux screen dbus-run-session xvfb-run faketime fakeroot proot socat":
    {
      effect: "unknown_code",
      because: "starts programs in a way that is not followed",
      style: "none",
      operands: "text*"
    },

  // Shells and languages.
  "zsh ksh mksh ash yash": {
    tells: "--version",
    effect: "unknown_code",
    because: "reads another language than bash",
    style: "none",
    operands: "text*"
  },
  "bash sh dash": {
    tells: "--version --help",
    flags: "-c -e -u -x -v -n -l -i -s -r -p -f --login --norc --noprofile --posix",
    values: { text: "-o -O +o" },
    ordered: true,
    rule: "shell"
  },
  node: {
    tells: "--version -v --help -h",
    flags:
      "-i -c --check --test --enable-source-maps --no-warnings --trace-warnings --trace-deprecation --no-deprecation --experimental-strip-types --experimental-transform-types --experimental-vm-modules --experimental-test-coverage --test-only --watch --preserve-symlinks --expose-gc --trace-uncaught --throw-deprecation --experimental-default-type=module --test-force-exit --experimental-json-modules --prof --cpu-prof",
    values: {
      text: "-e -p --eval --print -pe -ep --max-old-space-size --max_old_space_size --stack-size --test-name-pattern --test-reporter --test-timeout --test-concurrency --unhandled-rejections --conditions -C --input-type --run --stack-trace-limit --test-shard --test-skip-pattern"
    },
    ordered: true,
    rule: "node"
  },
  "tsx ts-node ts-node-esm vite-node esno jiti swc-node": {
    flags: "--esm --transpile-only -T --files --no-warnings --no-cache",
    values: { read: "--tsconfig -P --project", text: "-e --eval -p --print" },
    ordered: true,
    rule: "node"
  },
  "python python3 python2 python3.9 python3.10 python3.11 python3.12 python3.13 pypy3": {
    tells: "--version -V --help -h -VV",
    flags: "-b -B -d -E -I -O -OO -q -s -S -u -v -x -P",
    values: { text: "-c -m -W" },
    ends: "-c -m",
    ordered: true,
    rule: "python"
  },
  perl: {
    tells: "-v --version -V",
    flags: "-n -p -w -W -l -a -c -0 -00 -0777 -CSD -t",
    values: { text: "-e -E -F -M -m" },
    attached: "-i",
    ordered: true,
    rule: "perl"
  },
  ruby: {
    tells: "--version -v",
    flags: "-w -c -W0 -n -p -a -l",
    values: { text: "-e -r -F", code: "-I" },
    attached: "-i",
    ordered: true,
    rule: "ruby"
  },
  php: {
    tells: "--version -v -m --ini",
    flags: "-l -n",
    values: { text: "-r" },
    ordered: true,
    rule: "php"
  },
  "iex escript ghci runghc scala groovy kotlin racket guile sbcl tclsh wish osascript fish csh tcsh pwsh powershell busybox toybox":
    { tells: "--version -v", effect: "unknown_code", style: "none", operands: "text*" },

  // The system, asked.
  "whoami logname tty arch nproc hostid  groups users who w uptime last": {
    flags: "-a -i -f -h -p -s --all --short",
    values: { text: "-n --ignore" },
    operands: "text*"
  },
  hostname: { flags: "-f -s -i -I -d -A --fqdn --short" },
  id: { flags: "-u -g -G -n -r -un -gn -Gn --user --group --groups --name", operands: "text" },
  uname: { flags: "-a -s -n -r -v -m -p -i -o --all --machine --kernel-name --kernel-release" },
  date: {
    flags: "-u -R --utc --universal --rfc-email -n -j",
    values: { text: "-d --date -v  --rfc-3339", stat: "-r --reference" },
    attached: "-I --iso-8601",
    operands: "text*",
    rule: "date"
  },
  cal: { flags: "-3 -y -m -1", operands: "text*" },
  sleep: { operands: "text*" },
  "free vmstat iostat mpstat lscpu lsblk lsusb lspci lsmod getconf locale sw_vers": {
    flags: "-h -m -g -b -k -a -t -l -f -s -w --human --json -J -e -p",
    values: { text: "-o -n" },
    attached: "--output",
    operands: "text*"
  },
  ps: {
    flags: "-e -f -l -a -A -x -T -L -H -w -ww -d -j -y -F -M -N --forest --no-headers -ef -aux",
    values: { text: "-o -p -C -u -U -g -G -t --pid --ppid --sort --user --format -q" },
    operands: "text*",
    rule: "ps"
  },
  pgrep: { flags: "-f -l -a -x -n -o -c -v -i", values: { text: "-u -P -U -t -d -g" }, operands: "text" },
  pidof: { flags: "-s -x", operands: "text*" },
  pstree: { flags: "-p -a -u -h -n -l -A -c -s -t -T", operands: "text" },
  lsof: {
    flags: "-n -P -t -l -a -nP -R",
    values: { text: "-i -p -u -c -d -s -g +D" },
    attached: "-i -s",
    operands: "stat*"
  },
  "ss netstat": {
    flags: "-t -u -l -n -p -a -4 -6 -s -r -e -i -o -x -H --listening --tcp --udp --numeric --processes --all",
    operands: "text*"
  },
  ip: {
    flags: "-br -4 -6 -c -j -o -s -d -brief",
    style: "single",
    subcommands: { "addr address a link l route r neigh rule": { style: "none", operands: "text*", rule: "ipShow" } }
  },
  ifconfig: { flags: "-a -s", operands: "text" },
  top: { flags: "-b", values: { text: "-n -o -p -u -d" } },
  getent: { operands: "text*", rule: "getent" },
  printenv: { flags: "-0 --null", operands: "text*", rule: "printenv" },
  "dmesg journalctl": {
    flags: "-H -T -k -x -e -b -r --no-pager",
    values: { text: "-n -u -p --since --until" },
    effect: "secret",
    because: "shows logs of the system"
  },
  ldd: { flags: "-v -d -r -u", effect: "project_code", operands: "inside*" },
  "nvidia-smi": { flags: "-L -q", values: { text: "--query-gpu --format -i" } },
  mount: { flags: "-l", values: { text: "-t" } },
  sysctl: { flags: "-n -a", operands: "text*", rule: "sysctl" },
  dpkg: {
    flags: "-l -L -s -S -p --list --status --listfiles --search --print-architecture --get-selections",
    operands: "text*"
  },
  rpm: { flags: "-q -a -i -l -f -qa -qi -ql -qf --query --all --info --list", operands: "text*", rule: "rpmQuery" },
  "apt-cache dpkg-query": {
    flags: "-W -l -s -L -S -f --installed",
    values: { text: "--showformat" },
    subcommands: {
      "policy show search depends rdepends pkgnames madison showpkg": { flags: "-i --installed", operands: "text*" }
    },
    operands: "text*"
  },
  apt: {
    subcommands: {
      "list show policy": { flags: "--installed --upgradable -a", operands: "text*" },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  systemctl: {
    tells: "--version",
    flags: "--no-pager --user -q --quiet --all --full",
    values: { text: "-t --type --state -n --lines -p --property" },
    subcommands: {
      "status is-active is-enabled is-failed list-units list-unit-files list-timers show cat": {
        flags: "--no-pager -l --full --all -q",
        values: { text: "-n --lines -p --property --type --state -t" },
        operands: "text*",
        rule: "serviceProperties"
      },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  crontab: { style: "none", operands: "text*", rule: "crontab" },
  kubectl: {
    tells: "--help",
    subcommands: {
      version: { flags: "--client", values: { text: "-o --output" }, least: 0 },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  pygmentize: { flags: "-g", values: { text: "-l -f -O -P" }, operands: "read*" },
  "csvcut csvlook csvgrep csvstat csvsort csvjson in2csv": {
    flags:
      "-n -r -i -a -H -I -H -S --names --count --null --nulls --unique --min --max --mean --median --stdev --sum --len --freq --type --csv --json --reverse --no-header-row --no-inference --invert-match --any-match -K --snifflimit --write-sheets --linenumbers -l --stream -k --no-doublequote --no-number-ellipsis",
    values: {
      text: "-c -C -d -m -y --columns --not-columns --delimiter --match --regex --max-rows --max-columns --max-column-width --freq-count --format -e --encoding --sheet --indent --key -q -t -p",
      read: "-f --file"
    },
    operands: "read*"
  },
  "clear reset tput stty": { style: "none", operands: "text*" },
  bc: {
    flags: "-l -q -s -w --mathlib --quiet",
    values: { text: "-e --expression" },
    operands: "read*",
    rule: "calculator"
  },
  csplit: {
    flags: "-k -s -q -z --keep-files --quiet --silent --elide-empty-files",
    values: { text: "-b -n --suffix-format --digits", write: "-f --prefix" },
    operands: "read text*",
    rule: "contextSplit"
  },
  "expr factor": { style: "none", operands: "text*" },
  cowsay: { style: "none", operands: "text*" },
  "man info apropos whatis tldr": { flags: "-k -w", operands: "text*", rule: "manual" },
  yes: { effect: "resources", operands: "text*", rule: "yes" },
  uuidgen: { flags: "-r -t" },
  "figlet banner lolcat": { operands: "text*" },
  "file-rename rename prename": { effect: "unknown_code", style: "none", operands: "text*" },
  "pbcopy pbpaste xclip xsel wl-copy wl-paste": { effect: "secret", style: "none", operands: "text*" },

  // Changes of the system, and what nobody needs for work in a tree.
  "killall pkill skill fuser shutdown reboot halt poweroff init telinit service launchctl rc-service loginctl hostnamectl timedatectl anacron umount swapon swapoff mkfs mkfs.ext4 fdisk parted sfdisk wipefs losetup cryptsetup lvremove modprobe insmod rmmod iptables nft ufw route renice useradd userdel usermod groupadd passwd chpasswd visudo chown chgrp chattr setfacl setcap update-alternatives ldconfig apt-get aptitude yum dnf pacman zypper apk snap flatpak brew port nix nix-env nix-shell guix":
    { effect: "system", style: "none", operands: "text*" },
  "ssh scp sftp sshpass ssh-copy-id mosh telnet ftp lftp ncftp nc ncat netcat wget aria2c axel httpie http https xh telnetlib dig nslookup host whois ping ping6 traceroute mtr nmap tcpdump mail mailx sendmail mutt swaks rclone s3cmd gsutil aws gcloud az doctl heroku vercel netlify fly flyctl railway wrangler firebase supabase gh glab hub git-lfs svn hg cvs ngrok cloudflared localtunnel irssi weechat links lynx w3m xdg-open open":
    { effect: "network", style: "none", operands: "text*" },
  curl: {
    tells: "--version -V",
    flags:
      "-s -S -f -i -I -v -L -N -g -4 -6 --silent --show-error --fail --include --head --verbose --location --no-buffer --compressed --fail-with-body",
    values: { text: "-m --max-time --connect-timeout --retry --retry-delay" },
    operands: "text*",
    rule: "curl"
  },
  "docker podman nerdctl buildah docker-compose docker-machine oc k9s minikube kind k3d skaffold argocd istioctl flux terragrunt pulumi cdk cdktf sam serverless sls ansible ansible-playbook ansible-galaxy vagrant packer vault consul nomad":
    { tells: "--version version", effect: "system", style: "none", operands: "text*" },
  helm: {
    tells: "version --version",
    subcommands: {
      version: { flags: "--short --client -c", values: { text: "--template" } },
      env: { operands: "text*" },
      "template lint": {
        flags: "--debug --strict --include-crds --skip-tests --quiet",
        values: {
          read: "-f --values",
          text: "-n --namespace --set --set-string --name-template --kube-version -s --show-only",
          write: "--output-dir"
        },
        operands: "text* inside",
        effect: "project_code"
      },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  "terraform tofu": {
    tells: "-version version --version",
    style: "single",
    subcommands: {
      fmt: {
        style: "single",
        flags: "-recursive -check -diff -list=false -write=false",
        operands: "write*",
        effect: "workspace_write"
      },
      validate: { style: "single", flags: "-json -no-color", effect: "project_code" },
      version: {}
    }
  },
  "psql pg_dump pg_restore createdb dropdb mysql mysqldump mysqladmin mariadb mongo mongosh mongodump redis-cli sqlite sqlcmd sqlplus clickhouse-client cqlsh influx etcdctl rabbitmqctl kafka-topics":
    { tells: "--version", effect: "system", style: "none", operands: "text*" },
  "gpg gpg2 ssh-add ssh-agent ssh-keyscan keytool certutil age sops pass secret-tool security keychain op bw gnome-keyring":
    { tells: "--version version", effect: "secret", style: "none", operands: "text*" },
  openssl: {
    tells: "--version version",
    subcommands: {
      x509: {
        style: "single",
        flags:
          "-noout -subject -issuer -dates -enddate -startdate -text -fingerprint -serial -sha256 -sha1 -ext -purpose",
        values: { read: "-in", text: "-inform -nameopt -checkend -ext" }
      },
      "genrsa genpkey gendsa ecparam": {
        style: "single",
        flags: "-genkey -noout -quiet -f4 -3 -verbose",
        values: { write: "-out", text: "-algorithm -pkeyopt -name -outform -param_enc -conv_form" },
        operands: "text",
        effect: "workspace_write",
        rule: "keyMaker"
      },
      req: {
        style: "single",
        flags: "-x509 -new -nodes -noenc -batch -sha256 -sha384 -sha512 -utf8 -newhdr -noout -text -verify -subject",
        values: {
          write: "-out -keyout",
          read: "-in -key",
          text: "-newkey -days -subj -addext -set_serial -pkeyopt -outform -inform -nameopt -keyform"
        },
        effect: "workspace_write",
        rule: "keyMaker"
      },
      "verify crl": {
        style: "single",
        flags: "-noout -text -verbose -show_chain",
        values: { read: "-CAfile -untrusted -in" },
        operands: "read*"
      },
      "ciphers list errstr": { flags: "-v -V -s -1 -tls1_2 -tls1_3", operands: "text*" },
      rand: { style: "single", flags: "-hex -base64", values: { write: "-out" }, operands: "text" },
      "dgst sha256 sha1 md5 sha512": {
        style: "single",
        flags: "-sha256 -sha1 -md5 -sha512 -hex -r -binary",
        operands: "read*"
      },
      version: { flags: "-a", operands: "text*" },
      "*": { effect: "secret", style: "none", operands: "text*" }
    }
  },
  direnv: { effect: "unknown_code", style: "none", operands: "text*" }
}
