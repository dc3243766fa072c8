using Cnvm.Agent.Protocol;

namespace Cnvm.Sandbox.Oci;

/// <summary>Reads the JSON of the OCI runtime specification; what is wrong in it is the caller's error.</summary>
internal static class SpecReader
{
    /// <summary>A bundle's config.json.</summary>
    /// <exception cref="SandboxException">It is none.</exception>
    public static Spec Read(ReadOnlyMemory<byte> json) => Read(json, OciConfig.ReadSpec);

    /// <summary>The object <c>process</c>.</summary>
    /// <inheritdoc cref="Read(ReadOnlyMemory{byte})"/>
    public static Process ReadProcess(ReadOnlyMemory<byte> json) => Read(json, OciConfig.ReadProcess);

    /// <summary>The object <c>linux.resources</c>.</summary>
    /// <inheritdoc cref="Read(ReadOnlyMemory{byte})"/>
    public static LinuxResources ReadResources(ReadOnlyMemory<byte> json) => Read(json, OciConfig.ReadResources);

    private static T Read<T>(ReadOnlyMemory<byte> json, Func<ReadOnlyMemory<byte>, T> read)
    {
        try
        {
            return read(json);
        }
        catch (OciConfigException e)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, e.Message, e);
        }
    }
}
