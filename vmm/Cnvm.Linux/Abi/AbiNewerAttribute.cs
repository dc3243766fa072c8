namespace Cnvm.Linux.Abi;

/// <summary>
/// The declaration is newer than the oldest headers that the project builds against (Linux 6.1, glibc 2.36), or stands in no
/// installed header, so that it is compared only where the headers have it.
/// </summary>
/// <param name="reason">Since when it exists, or where it is defined.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Struct | AttributeTargets.Class)]
internal sealed class AbiNewerAttribute(string reason) : Attribute
{
    public string Reason { get; } = reason;
}
