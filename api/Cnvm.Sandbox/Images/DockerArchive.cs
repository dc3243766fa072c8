using System.Text.Json;

namespace Cnvm.Sandbox.Images;

/// <summary>Images as <c>docker save</c> writes them: an archive with manifest.json, in which only contents have digests.</summary>
internal static class DockerArchive
{
    public const string Manifest = "manifest.json";
    private const int MaxDocumentBytes = 8 << 20;
    private const int MaxLayers = 512;

    /// <param name="name">Which image, as NAME:TAG; null for the only one.</param>
    /// <exception cref="ImageException">There is none, or it is damaged.</exception>
    public static ImageManifest Find(ImageFiles files, string? name)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(files.Read(Manifest, MaxDocumentBytes));
            var candidates = new List<JsonElement>();
            var names = new List<string>();
            foreach (JsonElement image in document.RootElement.EnumerateArray())
            {
                List<string> own = Words(image, "RepoTags");
                names.AddRange(own);
                if (name is null || own.Exists(n => n == name || n.EndsWith($":{name}", StringComparison.Ordinal)))
                {
                    candidates.Add(image);
                }
            }

            return candidates.Count switch
            {
                1 => Read(files, candidates[0]),
                0 => throw new ImageException($"{files.Path} has no image{(name is null ? "" : $" named '{name}', but {string.Join(", ", names)}")}"),
                _ => throw new ImageException($"{files.Path} has several images: say which one, as {files.Path}:NAME (there are {string.Join(", ", names)})"),
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new ImageException($"{files.Path} is no archive as docker save writes it: {e.Message}", e);
        }
    }

    private static ImageManifest Read(ImageFiles files, JsonElement image)
    {
        byte[] config = files.Read(image.GetProperty("Config").GetString() ?? throw new JsonException("Config is null"), MaxDocumentBytes);
        List<string> layers = Words(image, "Layers");
        return layers.Count <= MaxLayers
            ? ImageManifest.Make(files.Path, config, layers.ConvertAll(l => (l, (ContentDigest?)null, (long?)null)))
            : throw new ImageException($"the image in {files.Path} has more than {MaxLayers} layers");
    }

    private static List<string> Words(JsonElement element, string name)
    {
        var words = new List<string>();
        if (element.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement word in list.EnumerateArray())
            {
                words.Add(word.GetString() ?? "");
            }
        }

        return words;
    }
}
