using System.Formats.Tar;
using System.Text;
using Cnvm.Fuzz;
using Cnvm.Nested;
using Cnvm.Sandbox.Images;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Images;

/// <summary>An image that means harm changes nothing outside of its own folder, and is refused by name.</summary>
public sealed class HostileImageTests : IDisposable
{
    private const int FuzzRounds = 3000;
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-images-");

    private string Layout => _folder.File("layout");

    private ImageStore Store => new(_folder.File("store"));

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("../../escaped")]
    [InlineData("a/../../../escaped")]
    [InlineData("..")]
    public async Task Names_that_lead_out_are_refused(string name)
    {
        byte[] layer = new LayerBuilder(TarEntryFormat.Ustar).File("name", "x").Build();
        Rename(layer, "name", name);
        new ImageBuilder(Layout).Layer(layer).WriteLayout();
        Assert.Contains("leads out", (await Refused()).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(Store.Folder));
    }

    [Theory]
    [InlineData("/")]
    [InlineData("../../../../../../../..")]
    public async Task Links_to_the_outside_stay_inside(string target)
    {
        string outside = Directory.CreateDirectory(_folder.File("outside")).FullName;
        File.WriteAllText(Path.Combine(outside, "victim"), "safe");
        byte[] lower = new LayerBuilder().Link("way", target + outside).Link("alias", Path.Combine(outside, "victim")).Build();
        byte[] upper = new LayerBuilder().File("alias", "replaced").File("way/.wh.victim", "").Build();
        new ImageBuilder(Layout).Layer(lower).Layer(upper).WriteLayout();
        string rootfs = (await Store.OpenAsync(Layout)).Rootfs;
        Assert.Equal("safe", File.ReadAllText(Path.Combine(outside, "victim")));
        Assert.Equal("replaced", File.ReadAllText(Path.Combine(rootfs, "alias")));

        // A file behind a link that leads nowhere inside: no folder can be made there.
        new ImageBuilder(Layout).Layer(lower).Layer(new LayerBuilder().File("way/new", "x").Build()).WriteLayout();
        await Assert.ThrowsAnyAsync<IOException>(() => Store.OpenAsync(Layout));
        Assert.Equal(["victim"], Directory.GetFileSystemEntries(outside).Select(p => Path.GetFileName(p)));
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("../../../../../etc/passwd")]
    [InlineData("missing")]
    public async Task Hard_links_reach_files_of_the_image_only(string target)
    {
        new ImageBuilder(Layout).Layer(new LayerBuilder().HardLink("stolen", target).Build()).WriteLayout();
        await Refused();
    }

    [Fact]
    public async Task Hard_links_through_links_stay_inside()
    {
        string secret = _folder.File("secret");
        File.WriteAllText(secret, "x");
        new ImageBuilder(Layout).Layer(new LayerBuilder().Link("way", "/").HardLink("stolen", $"way{secret}").Build()).WriteLayout();
        await Refused();
    }

    [Theory]
    [InlineData("\"size\":", "\"size\":1", "bytes")]
    [InlineData("\"digest\":\"sha256:", "\"digest\":\"md5:", "digest")]
    public async Task Descriptors_that_do_not_fit_are_refused(string from, string to, string message)
    {
        new ImageBuilder(Layout) { ChangeManifest = m => Last(m, from, to) }.Layer(new LayerBuilder().File("a", "b").Build()).WriteLayout();
        Assert.Contains(message, (await Refused()).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Store.Folder) && Directory.GetDirectories(Store.Folder).Length > 0);
    }

    [Fact]
    public async Task Content_that_is_not_what_its_digest_says_is_refused()
    {
        byte[] layer = new LayerBuilder().File("file", "true").Build();
        new ImageBuilder(Layout).Layer(layer).WriteLayout();
        string blob = Path.Combine(Layout, "blobs", "sha256", ImageBuilder.Digest(layer)["sha256:".Length..]);
        byte[] changed = [.. layer];
        changed.AsSpan().Replace((byte)'t', (byte)'T');
        File.WriteAllBytes(blob, changed);
        await Refused();
        new ImageBuilder(Layout).Layer(layer, _ => new LayerBuilder().File("file", "fake").Build()).WriteLayout();
        Assert.Contains("digest", (await Refused()).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(Store.Folder));
    }

    [Fact]
    public async Task Bombs_end_at_the_limit()
    {
        // A file that claims to be huge, and one that is.
        byte[] claim = new LayerBuilder().File("file", "x").Build();
        Encoding.ASCII.GetBytes("77777777777\0").CopyTo(claim, Header(claim, "file") + 124);
        Checksum(claim, Header(claim, "file"));
        foreach (byte[] layer in (byte[][])[claim, new LayerBuilder().File("file", new string('\0', 3 << 20)).Build()])
        {
            new ImageBuilder(Layout).Layer(layer, LayerBuilder.Gzip, "tar+gzip").WriteLayout();
            ImageException refused = await Assert.ThrowsAsync<ImageException>(() => new ImageStore(Store.Folder) { LimitBytes = 1 << 20 }.OpenAsync(Layout));
            Assert.Contains("more than 1048576 bytes", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task An_extended_header_of_gigabytes_is_not_read()
    {
        byte[] layer = new LayerBuilder().File(new string('n', 200), "x").Build();
        int header = Array.FindIndex(Enumerable.Range(0, layer.Length / 512).ToArray(), i => layer[(i * 512) + 156] == 'x') * 512;
        Encoding.ASCII.GetBytes("17777777777\0").CopyTo(layer, header + 124);
        Checksum(layer, header);
        new ImageBuilder(Layout).Layer(layer).WriteLayout();
        Assert.Contains("extended header", (await Refused()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_archives_end_in_a_clear_error()
    {
        byte[] sound = new LayerBuilder(TarEntryFormat.Gnu).Folder("dir").File("dir/file", "text").File(new string('n', 300), "long").Link("link", "dir").Build();
        byte[] pax = new LayerBuilder().File(new string('n', 300), "long").File("file", "text").Build();
        int refused = 0;
        int runs = SeededRuns.Repeat(FuzzRounds, seed =>
        {
            var random = new Random(seed);
            byte[] data = [.. seed % 2 == 0 ? sound : pax];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                data[random.Next(Math.Min(data.Length, 3072))] = (byte)random.Next(256);
            }

            if (random.Next(4) == 0)
            {
                data = data[..random.Next(data.Length)];
            }

            // Most changes are found by the checksum; the others have to get past it.
            for (int at = 0; at + 512 <= data.Length && random.Next(3) > 0; at += 512)
            {
                if (data.AsSpan(at + 257, 5).SequenceEqual("ustar"u8))
                {
                    Checksum(data, at);
                }
            }

            string tree = Directory.CreateDirectory(_folder.File("tree")).FullName;
            try
            {
                using (Cnvm.Linux.DirectoryTree place = Cnvm.Linux.DirectoryTree.Open(tree))
                {
                    var unpacker = new LayerUnpacker(place, 1 << 20);
                    unpacker.Apply(new MemoryStream(data));
                    unpacker.Finish();
                }
            }
            catch (Exception e) when (e is ImageException or Cnvm.Linux.LinuxException)
            {
                refused++;
            }

            using Cnvm.Linux.DirectoryTree emptied = Cnvm.Linux.DirectoryTree.Open(tree);
            emptied.RemoveBelow("", static _ => false);
        });

        Assert.InRange(refused, runs / 4, runs);
    }

    private Task<ImageException> Refused() => Assert.ThrowsAsync<ImageException>(() => Store.OpenAsync(Layout));

    private static string Last(string text, string from, string to) =>
        text[..text.LastIndexOf(from, StringComparison.Ordinal)] + to + text[(text.LastIndexOf(from, StringComparison.Ordinal) + from.Length)..];

    private static int Header(byte[] layer, string name) =>
        Enumerable.Range(0, layer.Length / 512).First(i => layer.AsSpan(i * 512).StartsWith(Encoding.ASCII.GetBytes(name + "\0"))) * 512;

    private static void Rename(byte[] layer, string from, string to)
    {
        int header = Header(layer, from);
        layer.AsSpan(header, 100).Clear();
        Encoding.ASCII.GetBytes(to).CopyTo(layer, header);
        Checksum(layer, header);
    }

    private static void Checksum(byte[] data, int header)
    {
        data.AsSpan(header + 148, 8).Fill((byte)' ');
        int sum = 0;
        foreach (byte b in data.AsSpan(header, 512))
        {
            sum += b;
        }

        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(data, header + 148);
    }
}
