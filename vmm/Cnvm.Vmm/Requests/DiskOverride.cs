using System.Text.Json.Serialization;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Requests;

/// <summary>A disk of a snapshot that lies elsewhere from now on; what is null stays.</summary>
/// <param name="Id">Name of the disk.</param>
/// <param name="Path">The image: it has what the disk had when the snapshot was taken.</param>
/// <param name="ImageType">Format of the image.</param>
/// <param name="BackingFiles">The image may build on the files that it names.</param>
public sealed record DiskOverride([property: JsonRequired] string Id = "", string? Path = null, ImageType? ImageType = null, bool? BackingFiles = null);
