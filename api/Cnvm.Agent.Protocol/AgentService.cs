namespace Cnvm.Agent.Protocol;

/// <summary>
/// The agent's service and its methods, those of Kata's agent that cnvm's has. A method takes the request of its name where nothing else is said and
/// answers <see cref="Cnvm.Ttrpc.Empty"/> where that request names no answer.
/// </summary>
public static class AgentService
{
    /// <summary>The service's full name.</summary>
    public const string Name = "grpc.AgentService";

    /// <summary>The vsock port that agents listen on.</summary>
    public const uint Port = 1024;

    /// <summary>Takes <see cref="CreateSandboxRequest"/>.</summary>
    public const string CreateSandbox = "CreateSandbox";

    /// <summary>Takes <see cref="DestroySandboxRequest"/>.</summary>
    public const string DestroySandbox = "DestroySandbox";

    /// <summary>Takes <see cref="CreateContainerRequest"/>.</summary>
    public const string CreateContainer = "CreateContainer";

    /// <summary>Takes <see cref="StartContainerRequest"/>.</summary>
    public const string StartContainer = "StartContainer";

    /// <summary>Takes <see cref="RemoveContainerRequest"/>.</summary>
    public const string RemoveContainer = "RemoveContainer";

    /// <summary>Takes <see cref="UpdateContainerRequest"/>.</summary>
    public const string UpdateContainer = "UpdateContainer";

    /// <summary>Takes <see cref="StatsContainerRequest"/>.</summary>
    public const string StatsContainer = "StatsContainer";

    /// <summary>Takes <see cref="PauseContainerRequest"/>.</summary>
    public const string PauseContainer = "PauseContainer";

    /// <summary>Takes <see cref="ResumeContainerRequest"/>.</summary>
    public const string ResumeContainer = "ResumeContainer";

    /// <summary>Takes <see cref="ExecProcessRequest"/>.</summary>
    public const string ExecProcess = "ExecProcess";

    /// <summary>Takes <see cref="SignalProcessRequest"/>.</summary>
    public const string SignalProcess = "SignalProcess";

    /// <summary>Takes <see cref="WaitProcessRequest"/>.</summary>
    public const string WaitProcess = "WaitProcess";

    /// <summary>Takes <see cref="WriteStreamRequest"/>.</summary>
    public const string WriteStdin = "WriteStdin";

    /// <summary>Takes <see cref="ReadStreamRequest"/>.</summary>
    public const string ReadStdout = "ReadStdout";

    /// <summary>Takes <see cref="ReadStreamRequest"/>.</summary>
    public const string ReadStderr = "ReadStderr";

    /// <summary>Takes <see cref="CloseStdinRequest"/>.</summary>
    public const string CloseStdin = "CloseStdin";

    /// <summary>Takes <see cref="TtyWinResizeRequest"/>.</summary>
    public const string TtyWinResize = "TtyWinResize";

    /// <summary>Takes <see cref="CopyFileRequest"/>.</summary>
    public const string CopyFile = "CopyFile";

    /// <summary>Takes <see cref="SetGuestDateTimeRequest"/>.</summary>
    public const string SetGuestDateTime = "SetGuestDateTime";

    /// <summary>Takes <see cref="ReseedRandomDevRequest"/>.</summary>
    public const string ReseedRandomDev = "ReseedRandomDev";

    /// <summary>Takes <see cref="GetOOMEventRequest"/>.</summary>
    public const string GetOOMEvent = "GetOOMEvent";

    /// <summary>Takes <see cref="GuestDetailsRequest"/>.</summary>
    public const string GetGuestDetails = "GetGuestDetails";

    /// <summary>Takes <see cref="OnlineCPUMemRequest"/>.</summary>
    public const string OnlineCPUMem = "OnlineCPUMem";

    /// <summary>Takes <see cref="UpdateInterfaceRequest"/>.</summary>
    public const string UpdateInterface = "UpdateInterface";

    /// <summary>Takes <see cref="UpdateRoutesRequest"/>.</summary>
    public const string UpdateRoutes = "UpdateRoutes";

    /// <summary>Takes <see cref="ListInterfacesRequest"/>.</summary>
    public const string ListInterfaces = "ListInterfaces";

    /// <summary>Takes <see cref="ListRoutesRequest"/>.</summary>
    public const string ListRoutes = "ListRoutes";

    /// <summary>Takes <see cref="AddARPNeighborsRequest"/>.</summary>
    public const string AddARPNeighbors = "AddARPNeighbors";

    /// <summary>Takes <see cref="GetMetricsRequest"/>.</summary>
    public const string GetMetrics = "GetMetrics";
}
