using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>Images on the disk: an OCI layout, or what docker save writes.</summary>
internal sealed class ImageBuilder(string folder)
{
    private readonly List<(byte[] Packed, byte[] Content, string Type)> _layers = [];

    public string Architecture { get; set; } = "amd64";

    public string Config { get; set; } = "{}";

    /// <summary>Done to each descriptor of a layer, to make it wrong.</summary>
    public Func<string, string> ChangeManifest { get; set; } = static m => m;

    public ImageBuilder Layer(byte[] content, Func<byte[], byte[]>? pack = null, string type = "tar")
    {
        _layers.Add((pack?.Invoke(content) ?? content, content, type));
        return this;
    }

    /// <summary>Writes the layout; returns the manifest's descriptor.</summary>
    public string WriteLayout(string? name = null)
    {
        string blobs = Directory.CreateDirectory(Path.Combine(folder, "blobs", "sha256")).FullName;
        File.WriteAllText(Path.Combine(folder, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");
        string config = Blob(blobs, Encoding.UTF8.GetBytes(Configuration()), "application/vnd.oci.image.config.v1+json");
        string layers = string.Join(',', _layers.Select(l => Blob(blobs, l.Packed, $"application/vnd.oci.image.layer.v1.{l.Type}")));
        string manifest = ChangeManifest($$"""{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{config}},"layers":[{{layers}}]}""");
        string descriptor = Blob(blobs, Encoding.UTF8.GetBytes(manifest), "application/vnd.oci.image.manifest.v1+json");
        descriptor = descriptor[..^1] + (name is null ? "}" : $$$""","annotations":{"org.opencontainers.image.ref.name":"{{{name}}}"}}""");
        WriteIndex(descriptor);
        return descriptor;
    }

    public void WriteIndex(params string[] descriptors) =>
        File.WriteAllText(Path.Combine(folder, "index.json"), $$"""{"schemaVersion":2,"manifests":[{{string.Join(',', descriptors)}}]}""");

    /// <summary>A blob; returns its descriptor.</summary>
    public static string Blob(string blobs, byte[] data, string type)
    {
        string digest = Digest(data);
        File.WriteAllBytes(Path.Combine(blobs, digest["sha256:".Length..]), data);
        return $$"""{"mediaType":"{{type}}","digest":"{{digest}}","size":{{data.Length}}}""";
    }

    public static string Digest(byte[] data) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(data));

    /// <summary>As docker save does; returns the archive's path.</summary>
    public string WriteDockerArchive(string file, string tag)
    {
        using (var writer = new TarWriter(File.Create(file), TarEntryFormat.Ustar))
        {
            void Add(string name, byte[] data) => writer.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(data) });
            var names = new List<string>();
            for (int i = 0; i < _layers.Count; i++)
            {
                names.Add($"{i}/layer.tar");
                if (i > 0 && _layers[i].Packed.AsSpan().SequenceEqual(_layers[i - 1].Packed))
                {
                    writer.WriteEntry(new UstarTarEntry(TarEntryType.SymbolicLink, names[i]) { LinkName = $"../{i - 1}/layer.tar" });
                }
                else
                {
                    Add(names[i], _layers[i].Packed);
                }
            }

            Add("config.json", Encoding.UTF8.GetBytes(Configuration()));
            string list = string.Join(',', names.Select(n => $"\"{n}\""));
            Add("manifest.json", Encoding.UTF8.GetBytes($$"""[{"Config":"config.json","RepoTags":["{{tag}}"],"Layers":[{{list}}]}]"""));
        }

        return file;
    }

    private string Configuration()
    {
        string digests = string.Join(',', _layers.Select(l => $"\"{Digest(l.Content)}\""));
        return $$$"""{"architecture":"{{{Architecture}}}","os":"linux","config":{{{Config}}},"rootfs":{"type":"layers","diff_ids":[{{{digests}}}]}}""";
    }
}
