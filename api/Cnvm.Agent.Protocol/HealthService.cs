namespace Cnvm.Agent.Protocol;

/// <summary>The service that says whether an agent works.</summary>
public static class HealthService
{
    /// <summary>The version of the protocol as Kata's agents name it, which <see cref="Version"/> answers.</summary>
    public const string ProtocolVersion = "0.0.1";

    /// <summary>The service's full name.</summary>
    public const string Name = "grpc.Health";

    /// <summary>Takes <see cref="CheckRequest"/>, answers <see cref="HealthCheckResponse"/>.</summary>
    public const string Check = "Check";

    /// <summary>Takes <see cref="CheckRequest"/>, answers <see cref="VersionCheckResponse"/>.</summary>
    public const string Version = "Version";
}
