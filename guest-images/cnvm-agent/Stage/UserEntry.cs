namespace Cnvm.GuestAgent.Stage;

/// <summary>As whom a process runs.</summary>
/// <param name="Groups">Further groups.</param>
/// <param name="Home">Its home folder.</param>
internal sealed record UserEntry(uint UserId, uint GroupId, IReadOnlyList<uint> Groups, string Home);
