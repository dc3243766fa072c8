using System.Text;
using Cnvm.Fuzz;
using Cnvm.Sandbox.Images;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Images;

/// <summary>Documents of images, and what a VMM says: whatever they are, they are refused by name or read.</summary>
public sealed class DocumentFuzzTests
{
    private const string Layer = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

    private static readonly byte[] Config = Encoding.UTF8.GetBytes($$$"""
        {"architecture":"amd64","os":"linux","config":{"Entrypoint":["/a"],"Cmd":["b"],"Env":["A=b"],"WorkingDir":"/","User":"0:0","ExposedPorts":{"80/tcp":{}},
        "StopSignal":"15"},"rootfs":{"type":"layers","diff_ids":["{{{Layer}}}"]}}
        """);

    [Fact]
    public void The_documents_of_a_layout_are_refused_or_read()
    {
        int refused = 0;
        int runs = SeededRuns.Repeat(1500, seed =>
        {
            var random = new Random(seed);
            using var files = new DocumentFiles();
            byte[] Some(byte[] json) => random.Next(3) == 0 ? DamagedJson.Make(json, random) : json;
            string config = files.Add(Some(Config));
            string manifest = files.Add(Some(Encoding.UTF8.GetBytes($$"""
                {"schemaVersion":2,"config":{{config}},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{{Layer}}","size":10}]}
                """)));
            string inner = files.Add(Some(Encoding.UTF8.GetBytes($$"""{"manifests":[{{manifest}}]}""")));
            files["index.json"] = Some(Encoding.UTF8.GetBytes(
                $$$"""{"manifests":[{{{(random.Next(2) == 0 ? inner : manifest)[..^1]}}},"platform":{"os":"linux","architecture":"amd64"},"annotations":{"org.opencontainers.image.ref.name":"n"}}]}"""));
            try
            {
                OciLayout.Find(files, random.Next(4) == 0 ? "n" : null);
            }
            catch (ImageException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }

    [Fact]
    public void The_documents_of_an_archive_are_refused_or_read()
    {
        byte[] manifest = Encoding.UTF8.GetBytes("""[{"Config":"config.json","RepoTags":["a:b","c:d"],"Layers":["0/layer.tar"]}]""");
        int refused = 0;
        int runs = SeededRuns.Repeat(1500, seed =>
        {
            var random = new Random(seed);
            using var files = new DocumentFiles();
            files[DockerArchive.Manifest] = DamagedJson.Make(manifest, random);
            files["config.json"] = random.Next(3) == 0 ? DamagedJson.Make(Config, random) : Config;
            try
            {
                DockerArchive.Find(files, random.Next(4) == 0 ? "b" : null);
            }
            catch (ImageException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }

    [Fact]
    public void Events_are_refused_or_read_however_they_are_cut()
    {
        byte[] told = """{"timestamp":{"secs":1,"nanos":2},"source":"vm","event":"booted","properties":{"a":"b","c":1}}"""u8.ToArray();
        int refused = 0;
        int runs = SeededRuns.Repeat(1500, seed =>
        {
            var random = new Random(seed);
            byte[] stream = [.. told, (byte)'\n', (byte)'\n', .. DamagedJson.Make(told, random), (byte)'\n', (byte)'\n'];
            var parser = new VmmEventParser();
            int events = 0;
            try
            {
                for (int at = 0; at < stream.Length;)
                {
                    int part = Math.Min(random.Next(1, 80), stream.Length - at);
                    events += parser.Add(stream.AsSpan(at, part)).Count;
                    at += part;
                }

                Assert.InRange(events, 2, 4);
            }
            catch (SandboxException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }
}
