#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The report of a run as a page in a browser: each chart is there and has a size, nothing sticks out, no text lies outside of its
# chart, and the page asks for nothing from anywhere. Needs chromium.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $bin = $ENV{MERIDIAN_BIN_DIR} // 'build/dev/bin';
plan skip_all => "no $bin/meridian-geo" unless -x "$bin/meridian-geo" && -x "$bin/meridian-sim";
my $dir = tempdir(CLEANUP => 1);

sub slurp { open my $f, '<', $_[0] or die "$_[0]: $!"; local $/; return scalar <$f> }

for my $story (qw(leader-region-loss follower-reads)) {
    is(system("$bin/meridian-sim $story --out $dir/$story.json >/dev/null"), 0, "$story");
    my $out = `$bin/meridian-geo report $dir/$story.json`;
    is($?, 0, 'report') or diag $out;
    is($out, "$dir/$story.html\n", 'says where the page is');
    my $html = slurp("$dir/$story.html");
    unlike($html, qr{(?:src|href)=|url\((?!#)|<script|\@import}, 'the page needs nothing else');
}
is(system("$bin/meridian-geo report $dir/follower-reads.json --out $dir/map.svg >/dev/null"), 0, 'the map alone');
my $svg = slurp("$dir/map.svg");
like($svg, qr{^<svg xmlns="http://www.w3.org/2000/svg".*</svg>\s*$}s, 'is an SVG file');
unlike($svg, qr{<[^>]* [\w-]+=[^"\s>]}, 'with every attribute in quotes, as XML wants it');
open my $f, '>', "$dir/evil.json" or die;
print $f '{"format":1,"title":"<script>alert(1)</script>","regions":[{"name":"a<b"}],"duration_s":1e-9,"timeline":{"slot_ms":1e300}}';
close $f;
is(system("$bin/meridian-geo report $dir/evil.json >/dev/null"), 0, 'results that lack almost everything');
unlike(slurp("$dir/evil.html"), qr/<script|a<b/, 'make a page, and its texts are escaped');
for (['not JSON', '{"format":1,'], ['no results', '[1,2]'], ['another format', '{"format":2,"regions":[{"name":"a"}]}']) {
    open $f, '>', "$dir/bad.json" or die;
    print $f $_->[1];
    close $f;
    my $out = `$bin/meridian-geo report $dir/bad.json 2>&1`;
    is($? >> 8, 1, "$_->[0] is refused");
    like($out, qr/^meridian geo: ./, 'in one sentence');
}

my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") } split /:/, $ENV{PATH};
SKIP: {
    skip 'the page in a browser: chromium is not installed', 1 unless $chromium;
    my @browser = ($chromium, '--headless', '--disable-gpu', '--hide-scrollbars', '--no-first-run', "--user-data-dir=$dir/profile");
    push @browser, '--no-sandbox' if $> == 0;
    my $html = slurp("$dir/leader-region-loss.html");

    # A copy that measures itself, in this test only.
    $html =~ s{</body>}{<script>
      const out = [];
      for (const id of ['map','timeline','latency','causes','clock','rtt']) {
        const g = document.getElementById(id), b = g ? g.getBoundingClientRect() : {width: 0, height: 0};
        const s = g ? g.closest('svg').getBoundingClientRect() : b;
        let over = 0;
        for (const t of g ? g.querySelectorAll('text') : []) {
          const r = t.getBoundingClientRect();
          if (r.left < s.left - 2 || r.right > s.right + 2 || r.top < s.top - 2 || r.bottom > s.bottom + 2) over++;
        }
        out.push([id, Math.round(b.width), Math.round(b.height), over].join(' '));
      }
      out.push('page ' + document.documentElement.scrollWidth + ' ' + innerWidth);
      document.body.innerHTML = '<pre>MEASURED\\n' + out.join('\\n') + '\\nEND</pre>';
    </script></body>};
    open my $m, '>', "$dir/measure.html" or die;
    print $m $html;
    close $m;
    my $quoted = join ' ', map { "'$_'" } @browser, '--window-size=1100,4000', '--dump-dom', "file://$dir/measure.html";
    my $dom = `timeout 60 $quoted 2>/dev/null`;
    my ($measured) = $dom =~ /MEASURED\n(.*?)\nEND/s;
    ok($measured, 'the page lives in a browser') or diag substr($dom, 0, 400);
    my %box = map { my ($id, @n) = split; $id => \@n } split /\n/, $measured // '';
    for my $id (qw(map timeline latency causes clock rtt)) {
        my $b = $box{$id} // [ 0, 0, 1 ];
        cmp_ok($b->[0], '>', 300, "$id is wide enough");
        cmp_ok($b->[1], '>', 40,  "$id is high enough");
        is($b->[2], 0, "no text of $id lies outside");
    }
    cmp_ok($box{page}[0], '<=', $box{page}[1], 'nothing sticks out of the page');
    my $shot = join ' ', map { "'$_'" } @browser, '--window-size=1100,3400', "--screenshot=$dir/page.png", "file://$dir/leader-region-loss.html";
    system("timeout 60 $shot >/dev/null 2>&1");
    cmp_ok(-s "$dir/page.png" // 0, '>', 50_000, 'and it is painted');
    like(substr(slurp("$dir/page.png"), 0, 8), qr/^\x89PNG/, 'into a PNG');
}
done_testing();
