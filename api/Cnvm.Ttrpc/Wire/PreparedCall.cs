namespace Cnvm.Ttrpc.Wire;

/// <summary>A call whose request has been read.</summary>
/// <returns>What writes the answer.</returns>
internal delegate Task<Action<ProtoWriter>> PreparedCall(CancellationToken cancellation);
