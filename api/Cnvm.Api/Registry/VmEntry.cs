namespace Cnvm.Api.Registry;

/// <summary>A running VMM, as it wrote itself down.</summary>
/// <param name="Name">Unique among the VMMs of one runtime directory.</param>
/// <param name="Pid">The VMM's process, as it numbers itself.</param>
/// <param name="ApiSocket">Absolute path of the socket that serves the REST API.</param>
/// <param name="Started">When the entry was made.</param>
public sealed record VmEntry(string Name, int Pid, string ApiSocket, DateTimeOffset Started);
