/** Pictures, sound, video, documents and archives. */
import type { ProgramEntry, ProgramTable } from "../ProgramEntry.js"

/** What the options do not say is judged word by word: see `rules/media.ts`. */
const worded = (rule: string, more: ProgramEntry = {}): ProgramEntry => ({ style: "none", rule, ...more })

/** It changes the files that it is given. */
const inPlace = (flags: string, values: ProgramEntry["values"] = {}, attached = ""): ProgramEntry => ({
  flags,
  values,
  attached,
  operands: "write*",
  effect: "workspace_write"
})

export const media: ProgramTable = {
  ffmpeg: {
    tells: "-version -h -formats -codecs -encoders -decoders -filters -pix_fmts -buildconf -protocols -L",
    style: "single",
    flags: "-y -n -hide_banner -nostdin -an -vn -sn -dn -shortest -stats -nostats -accurate_seek -copyts -re",
    values: {
      read: "-i",
      text: "-c -c:v -c:a -c:s -codec -codec:v -codec:a -vcodec -acodec -scodec -b -b:v -b:a -r -s -t -to -ss -sseof -ac -ar -f -crf -preset -pix_fmt -q:v -q:a -qscale -qscale:v -aq -loglevel -v -map -map_metadata -metadata -movflags -frames:v -vframes -aspect -threads -loop -tune -profile:v -level -g -bf -itsoffset -sample_fmt -ab -vb -framerate -start_number -maxrate -bufsize -minrate -stream_loop -vsync -fps_mode -tag:v -bsf:v -bsf:a -disposition -quality -compression_level -lossless -vf -af -filter:v -filter:a -filter_complex -lavfi -async -vol -keyint_min -sc_threshold -deadline -cpu-used -row-mt -strict"
    },
    operands: "write*",
    effect: "workspace_write",
    rule: "ffmpeg"
  },
  ffprobe: {
    tells: "-version -h -formats -codecs",
    style: "single",
    flags:
      "-hide_banner -show_format -show_streams -show_frames -show_packets -show_chapters -show_programs -show_error -pretty -count_frames -count_packets -show_data -bitexact -unit -private",
    values: {
      read: "-i",
      text: "-v -loglevel -show_entries -of -print_format -output_format -select_streams -read_intervals -sexagesimal -f -analyzeduration -probesize"
    },
    operands: "read*",
    rule: "localMedia"
  },
  "convert identify magick mogrify montage composite compare": worded("images", { tells: "-list" }),
  exiftool: worded("exiftool", { tells: "-ver" }),
  optipng: inPlace(
    "-o0 -o1 -o2 -o3 -o4 -o5 -o6 -o7 -quiet -silent -q -v -preserve -keep -backup -simulate -fix -force -nc -nb -np",
    {
      text: "-strip -i",
      write: "-out -dir"
    }
  ),
  pngquant: inPlace("-f -v --force --verbose --skip-if-larger --strip --nofs --ordered -", {
    text: "--quality --speed -s --ext --posterize --floyd",
    write: "-o --output"
  }),
  jpegoptim: inPlace(
    "-f -n -o -p -P -q -s -t -v --force --noaction --overwrite --preserve --quiet --totals --verbose --strip-all --strip-none --strip-exif --strip-com --strip-iptc --strip-icc --strip-xmp --all-progressive --all-normal --stdout",
    { text: "-m -S -T --max --size --threshold", write: "-d --dest" }
  ),
  oxipng: inPlace("-a -v -q -Z -p --preserve --alpha --zopfli --stdout -r --recursive --pretend", {
    text: "-o --opt -i --interlace --strip --filters -t --threads --timeout",
    write: "--out --dir"
  }),
  "jpegtran djpeg cjpeg": {
    style: "single",
    flags: "-optimize -progressive -grayscale -perfect -trim -baseline",
    values: { text: "-copy -quality -rotate -flip -scale", write: "-outfile" },
    operands: "read",
    effect: "workspace_write"
  },
  "pngcrush zopflipng": {
    style: "single",
    flags: "-q -v -brute -reduce -y -m -l -ow -rem -f",
    values: { write: "-d" },
    operands: "read* write",
    effect: "workspace_write"
  },
  gifsicle: {
    flags:
      "-b -O -O1 -O2 -O3 -i -w -I -V --batch --careful --interlace --no-warnings --info --optimize --optimize=3 --optimize=2 --flip-horizontal --flip-vertical --unoptimize",
    values: {
      text: "--colors --scale --resize --delay --lossy --loopcount --resize-width --crop",
      write: "-o --output"
    },
    operands: "write*",
    effect: "workspace_write"
  },
  "cwebp dwebp gif2webp cjxl djxl avifenc avifdec heif-convert": {
    style: "single",
    flags: "-lossless -quiet -mt -short -noalpha -af -progress -exact -d",
    values: {
      text: "-q -m -preset -resize -crop -alpha_q -z -near_lossless -size -psnr -e -s -j --min --max --speed",
      write: "-o"
    },
    operands: "read write",
    effect: "workspace_write"
  },
  "rsvg-convert svg2png cairosvg": {
    flags: "-a --keep-aspect-ratio",
    values: {
      text: "-w -h -f -z -x -y -d -p --width --height --format --zoom --dpi-x --dpi-y -b --background-color -s --scale",
      write: "-o --output"
    },
    operands: "read*",
    effect: "workspace_write",
    rule: "localMedia"
  },
  inkscape: {
    flags: "--export-area-page --export-area-drawing --export-plain-svg --export-text-to-path --query-all",
    values: {
      text: "-w -h -d --export-width --export-height --export-dpi --export-type --export-id --export-background --export-area",
      write: "-o --export-filename"
    },
    operands: "write*",
    effect: "workspace_write"
  },
  icotool: {
    flags: "-c -x -l",
    values: { write: "-o" },
    operands: "read*",
    effect: "workspace_write"
  },
  "mediainfo soxi pngcheck jpeginfo fc-scan opusinfo": {
    style: "single",
    flags: "-c -v -f -r -d -t -s -b -q --Full",
    operands: "read*",
    rule: "localMedia"
  },
  "fc-list fc-match fc-query": { flags: "-v -s -a -b", values: { text: "-f --format" }, operands: "text*" },
  sox: {
    flags: "-q -V -S -D -R --norm",
    values: { text: "-r -c -b -e -t -C" },
    ordered: true,
    rule: "sox",
    effect: "workspace_write"
  },
  "lame flac oggenc opusenc": {
    flags: "-d -f -s -S --silent --force --quiet --decode --best --verify -8 -5 -0 -h -m",
    values: { text: "-b -V -q --preset --bitrate --tt --ta --tl -B", write: "-o --output-name" },
    operands: "write*",
    effect: "workspace_write"
  },
  // Documents.
  "pdftotext pdftohtml pdftoppm pdftocairo pdfimages pdfseparate": {
    style: "single",
    flags:
      "-layout -raw -nopgbrk -q -bbox -htmlmeta -png -jpeg -tiff -svg -list -all -singlefile -gray -mono -j -p -c -s -i -xml -noframes -v",
    values: { text: "-f -l -r -rx -ry -x -y -W -H -enc -eol -scale-to -scale-to-x -scale-to-y" },
    rule: "pdf"
  },
  "pdfinfo pdffonts": {
    style: "single",
    flags: "-box -meta -js -struct -isodates -rawdates -dests -subst",
    values: { text: "-f -l -enc" },
    operands: "read"
  },
  pdfunite: { operands: "read* write", effect: "workspace_write" },
  qpdf: {
    flags:
      "--check --show-npages --linearize --decrypt --qdf --requires-password --is-encrypted --show-xref --empty --warning-exit-0 --deterministic-id",
    values: { text: "--object-streams --stream-data --rotate --compress-streams --json" },
    operands: "read write",
    effect: "workspace_write"
  },
  img2pdf: { values: { write: "-o --output", text: "-S --pagesize" }, operands: "read*", effect: "workspace_write" },
  tesseract: {
    tells: "--list-langs",
    values: { text: "-l --psm --oem --dpi" },
    operands: "read write text*",
    rule: "localMedia",
    effect: "workspace_write"
  },
  "antiword catdoc docx2txt odt2txt html2text unrtf": {
    flags: "-t -w -x",
    values: { text: "-m -b" },
    operands: "read write",
    rule: "localMedia"
  },
  "bibtex biber makeindex chktex lacheck texcount detex": {
    flags: "-q -v -b -l -n --quiet -sum -brief -inc -total",
    operands: "inside*",
    effect: "project_code"
  },
  typst: {
    tells: "--version -V help",
    subcommands: {
      "compile c watch w": {
        values: {
          inside: "--root --font-path --input -f --format --ppi --pages --pdf-standard -j --jobs",
          write: "--make-deps"
        },
        flags: "--ignore-system-fonts",
        operands: "inside write",
        effect: "project_code"
      },
      "query eval": {
        values: { inside: "--field --format --root --input" },
        flags: "--one",
        operands: "inside text",
        effect: "project_code"
      },
      fonts: { flags: "--variants" }
    }
  },
  // Archives.
  "7z 7za 7zr 7zz p7zip": worded("sevenZip", { tells: "i --help" }),
  jar: worded("jar"),
  "cabextract unar lsar": { flags: "-l -q -t -json -j", operands: "read*", rule: "lists" },
  cpio: { flags: "-t -v -i --list --quiet", values: { read: "-F" }, rule: "lists" },
  "brotli lz4 lzop snzip": {
    flags: "-c -d -f -k -n -q -t -v -z -j -l --stdout --decompress --force --keep --test --best --quiet --verbose",
    values: { text: "-w --quality --lgwin", write: "-o --output" },
    numeric: true,
    rule: "gzip"
  }
}
