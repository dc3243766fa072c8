namespace Cnvm.CommandLine;

/// <summary>A file by its path, or by a descriptor that this process was started with: one of the two.</summary>
internal sealed record PathOrFd(string? Path, int? Fd);
