namespace Cnvm.Agent.Protocol;

/// <summary>The service that says whether an agent works.</summary>
public static class HealthService
{
    /// <summary>The service's full name.</summary>
    public const string Name = "grpc.Health";

    /// <summary>Takes <see cref="CheckRequest"/>, answers <see cref="HealthCheckResponse"/>.</summary>
    public const string Check = "Check";

    /// <summary>Takes <see cref="CheckRequest"/>, answers <see cref="VersionCheckResponse"/>.</summary>
    public const string Version = "Version";
}
