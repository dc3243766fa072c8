namespace Cnvm.Ttrpc;

/// <summary>
/// What a server has to tell. It is no <c>ILogger</c>, whose generic virtual methods take a loader of types along: an agent in the memory of every
/// sandbox does without. Any thread.
/// </summary>
public interface ITtrpcLog
{
    /// <summary>A handler has failed with what is no <see cref="TtrpcException"/>.</summary>
    void CallFailed(Exception reason);

    /// <summary>A frame was answered with an error, and perhaps others of its connection.</summary>
    void FrameRefused(uint stream, string reason);

    /// <summary>The other side does not speak ttrpc; its connection is closed.</summary>
    void ConnectionBroken(string reason);

    /// <summary>The other side has gone.</summary>
    void CallerGone(string reason);

    /// <summary>The server has ended a connection.</summary>
    void ConnectionStopped();
}
