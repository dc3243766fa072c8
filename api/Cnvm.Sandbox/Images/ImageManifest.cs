using System.Security.Cryptography;

namespace Cnvm.Sandbox.Images;

/// <summary>An image for this machine, found in what may hold several.</summary>
/// <param name="Digest">Of its configuration, which names all layers by their content: equal images have equal ones.</param>
internal sealed record ImageManifest(ContentDigest Digest, ImageConfig Config, IReadOnlyList<ImageLayer> Layers)
{
    private const string Machine = "amd64";
    private const string Kernel = "linux";

    /// <exception cref="ImageException">It is for another machine, or its parts do not fit together.</exception>
    public static ImageManifest Make(string path, byte[] configuration, List<(string File, ContentDigest? Packed, long? Size)> layers)
    {
        ImageConfig config = ImageConfig.Parse(configuration);
        if (config is not { Architecture: Machine or "", OperatingSystem: Kernel or "" })
        {
            throw new ImageException(
                $"the image in {path} is for {config.OperatingSystem}/{config.Architecture}; cnvm runs those for {Kernel}/{Machine}");
        }

        if (config.Layers.Count != layers.Count)
        {
            throw new ImageException($"the image in {path} has {layers.Count} layers, and its configuration speaks of {config.Layers.Count}");
        }

        var all = new List<ImageLayer>();
        for (int i = 0; i < layers.Count; i++)
        {
            all.Add(new ImageLayer(layers[i].File, layers[i].Packed, layers[i].Size, config.Layers[i]));
        }

        return new ImageManifest(
            new ContentDigest(Convert.ToHexStringLower(SHA256.HashData(configuration))), config, all);
    }
}
