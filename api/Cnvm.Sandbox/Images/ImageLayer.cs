namespace Cnvm.Sandbox.Images;

/// <summary>A layer as it lies in an image.</summary>
/// <param name="File">Its name there.</param>
/// <param name="Packed">Digest of that file; null where only the content has one (docker save).</param>
/// <param name="Size">Bytes of that file; null where nothing says it.</param>
/// <param name="Content">Digest of what is in it, unpacked.</param>
internal sealed record ImageLayer(string File, ContentDigest? Packed, long? Size, ContentDigest Content);
