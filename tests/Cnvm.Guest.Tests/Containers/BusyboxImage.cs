using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Containers;

/// <summary>A container image made of this machine's static busybox, as an archive that `ctr image import` takes (OCI image layout v1).</summary>
internal static class BusyboxImage
{
    /// <summary>The archive on this machine; removed when this process ends.</summary>
    private static readonly Lazy<string> Archive = new(Build);

    /// <summary>Path of the archive on this machine, which only this user can read. Needs busybox.</summary>
    public static string ArchivePath => Archive.Value;

    /// <summary>Puts the archive onto a host. Skips the test when there is no busybox.</summary>
    public static async Task AddToHostAsync(GuestHost host, string path)
    {
        Skip.If(!File.Exists("/bin/busybox"), "/bin/busybox is missing: 'make deps' installs it");
        await host.Commands.CopyToAsync(Archive.Value, path);
    }

    private static string Build()
    {
        var directory = new TemporaryDirectory(Path.GetTempPath(), "cnvm-busybox-");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => directory.Dispose();
        string path = directory.File("busybox.tar");
        using FileStream file = File.Create(path);
        using var tar = new TarWriter(file, TarEntryFormat.Ustar);
        JsonObject layer = Add(tar, "application/vnd.oci.image.layer.v1.tar", Layer());
        JsonObject config = Add(tar, "application/vnd.oci.image.config.v1+json", Bytes(new JsonObject
        {
            ["architecture"] = "amd64",
            ["os"] = "linux",
            ["config"] = new JsonObject { ["Env"] = new JsonArray("PATH=/bin", "FROM_IMAGE=yes"), ["Cmd"] = new JsonArray("/bin/sh"), ["WorkingDir"] = "/root" },
            ["rootfs"] = new JsonObject { ["type"] = "layers", ["diff_ids"] = new JsonArray(layer["digest"]!.DeepClone()) },
        }));
        JsonObject manifest = Add(tar, "application/vnd.oci.image.manifest.v1+json", Bytes(new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = "application/vnd.oci.image.manifest.v1+json",
            ["config"] = config,
            ["layers"] = new JsonArray(layer),
        }));
        manifest["annotations"] = new JsonObject { ["org.opencontainers.image.ref.name"] = "latest" };
        AddFile(tar, "index.json", Bytes(new JsonObject { ["schemaVersion"] = 2, ["manifests"] = new JsonArray(manifest) }));
        AddFile(tar, "oci-layout", Bytes(new JsonObject { ["imageLayoutVersion"] = "1.0.0" }));
        return path;
    }

    private static byte[] Layer()
    {
        using var bytes = new MemoryStream();
        using (var tar = new TarWriter(bytes, TarEntryFormat.Ustar, leaveOpen: true))
        {
            foreach (string name in (string[])["bin", "dev", "etc", "proc", "root", "sys", "tmp"])
            {
                tar.WriteEntry(new UstarTarEntry(TarEntryType.Directory, name + "/") { Mode = (UnixFileMode)0b111_101_101 });
            }

            AddFile(tar, "bin/busybox", File.ReadAllBytes("/bin/busybox"), (UnixFileMode)0b111_101_101);
            AddFile(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"u8.ToArray());
            AddFile(tar, "etc/group", "root:x:0:\nuser:x:1000:\n"u8.ToArray());
            foreach (string applet in GuestPrograms.Output("/bin/busybox", "--list").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(a => a != "busybox"))
            {
                tar.WriteEntry(new UstarTarEntry(TarEntryType.SymbolicLink, "bin/" + applet) { LinkName = "busybox" });
            }
        }

        return bytes.ToArray();
    }

    /// <summary>Adds content under the name of its digest, and returns its descriptor (OCI image specification, descriptor.md).</summary>
    private static JsonObject Add(TarWriter tar, string mediaType, byte[] content)
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(content));
        AddFile(tar, "blobs/sha256/" + digest, content);
        return new JsonObject { ["mediaType"] = mediaType, ["digest"] = "sha256:" + digest, ["size"] = content.Length };
    }

    private static void AddFile(TarWriter tar, string name, byte[] content, UnixFileMode mode = (UnixFileMode)0b110_100_100) =>
        tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, name) { Mode = mode, DataStream = new MemoryStream(content) });

    private static byte[] Bytes(JsonObject json) => Encoding.UTF8.GetBytes(json.ToJsonString());
}
