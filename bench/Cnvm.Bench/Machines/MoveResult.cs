namespace Cnvm.Bench.Machines;

/// <summary>What a move took, as the source says: taking its machine apart afterwards is no part of it.</summary>
/// <param name="TotalMilliseconds">From the order until the guest runs at the other side and the source knows it.</param>
/// <param name="DowntimeMilliseconds">The guest stood still so long.</param>
/// <param name="Bytes">Sent on the connection.</param>
internal sealed record MoveResult(double TotalMilliseconds, double DowntimeMilliseconds, double Bytes);
