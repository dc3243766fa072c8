using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace Cnvm.Sandbox.Images;

/// <summary>Images as the OCI image layout has them, in a folder or an archive.</summary>
internal static class OciLayout
{
    public const string Marker = "oci-layout";
    private const string Index = "index.json";
    private const string ReferenceName = "org.opencontainers.image.ref.name";
    private const int MaxDocumentBytes = 8 << 20;
    private const int MaxNesting = 4;
    private const int MaxLayers = 512;

    /// <param name="name">Which image; null for the only one.</param>
    /// <exception cref="ImageException">There is none for this machine, or it is damaged.</exception>
    public static ImageManifest Find(ImageFiles files, string? name)
    {
        try
        {
            return Choose(files, files.Read(Index, MaxDocumentBytes), name, 0)
                ?? throw new ImageException($"{files.Path} has no image for linux/amd64");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw new ImageException($"{files.Path} is no image layout as the specification has it: {e.Message}", e);
        }
    }

    private static ImageManifest? Choose(ImageFiles files, byte[] json, string? name, int depth)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        if (!document.RootElement.TryGetProperty("manifests", out JsonElement manifests))
        {
            return Manifest(files, document.RootElement);
        }

        if (depth == MaxNesting)
        {
            throw new ImageException($"{files.Path}: indexes lie in indexes, more than {MaxNesting} deep");
        }

        var candidates = new List<JsonElement>();
        var others = new List<string>();
        foreach (JsonElement entry in manifests.EnumerateArray())
        {
            if (name is not null && ReferenceOf(entry) != name)
            {
                others.Add(ReferenceOf(entry) ?? "(without a name)");
            }
            else if (PlatformOf(entry) is not (null or "linux/amd64"))
            {
                others.Add(PlatformOf(entry)!);
            }
            else
            {
                candidates.Add(entry);
            }
        }

        if (candidates.Count == 0)
        {
            throw new ImageException(name is null
                ? $"{files.Path} has no image for linux/amd64, but for {string.Join(", ", others)}"
                : $"{files.Path} has no image named '{name}', but {string.Join(", ", others)}");
        }

        // One of an index's platforms is as good as the other; images with names are different ones.
        if (candidates.Count > 1 && depth == 0 && candidates.TrueForAll(c => ReferenceOf(c) is not null))
        {
            throw new ImageException(
                $"{files.Path} has several images: say which one, as {files.Path}:{ReferenceOf(candidates[0])} (there are {string.Join(", ", candidates.ConvertAll(ReferenceOf))})");
        }

        return Choose(files, Document(files, candidates[0]), null, depth + 1);
    }

    private static ImageManifest Manifest(ImageFiles files, JsonElement manifest)
    {
        byte[] config = Document(files, manifest.GetProperty("config"));
        var layers = new List<(string, ContentDigest?, long?)>();
        foreach (JsonElement layer in manifest.GetProperty("layers").EnumerateArray())
        {
            if (layers.Count == MaxLayers)
            {
                throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"the image in {files.Path} has more than {MaxLayers} layers"));
            }

            string type = layer.TryGetProperty("mediaType", out JsonElement media) ? media.GetString() ?? "" : "";
            if (type.Contains("encrypted", StringComparison.Ordinal))
            {
                throw new ImageException($"the image in {files.Path} is encrypted ({type}), which is not known here");
            }

            ContentDigest digest = DigestOf(layer);
            layers.Add((Blob(digest), digest, SizeOf(layer)));
        }

        return ImageManifest.Make(files.Path, config, layers);
    }

    /// <summary>A document that a descriptor names, whose size and digest have been checked.</summary>
    private static byte[] Document(ImageFiles files, JsonElement descriptor)
    {
        ContentDigest digest = DigestOf(descriptor);
        byte[] data = files.Read(Blob(digest), (int)Math.Min(SizeOf(descriptor), MaxDocumentBytes));
        return Convert.ToHexStringLower(SHA256.HashData(data)) == digest.Hex
            ? data
            : throw new ImageException($"{Blob(digest)} in {files.Path} is not what its digest says");
    }

    private static ContentDigest DigestOf(JsonElement descriptor) => ContentDigest.Parse(descriptor.GetProperty("digest").GetString());

    private static long SizeOf(JsonElement descriptor) => descriptor.GetProperty("size").GetInt64() is >= 0 and var size
        ? size
        : throw new ImageException("a size in the image is negative");

    private static string Blob(ContentDigest digest) => $"blobs/sha256/{digest.Hex}";

    private static string? ReferenceOf(JsonElement descriptor) =>
        descriptor.TryGetProperty("annotations", out JsonElement annotations) && annotations.ValueKind == JsonValueKind.Object
            && annotations.TryGetProperty(ReferenceName, out JsonElement name)
            ? name.GetString()
            : null;

    private static string? PlatformOf(JsonElement descriptor) =>
        descriptor.TryGetProperty("platform", out JsonElement platform) && platform.ValueKind == JsonValueKind.Object
            ? $"{platform.GetProperty("os").GetString()}/{platform.GetProperty("architecture").GetString()}"
            : null;
}
